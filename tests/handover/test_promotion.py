"""A model becomes champion if it is better beyond chance, and the sentence says what is missing if not."""

import pytest

from kerasweep.handover.paired import Paired
from kerasweep.handover.promotion import Decision, Role, decide


@pytest.mark.parametrize(
    ("counts", "role", "reason"),
    [
        (
            (9, 1, 359),
            Role.CHAMPION,
            "it is right on 8 more test images than version 1, beyond chance (p 0.021)",
        ),
        (
            (9, 4, 359),
            Role.CHALLENGER,
            "it is right on 5 more test images than version 1, which may be chance (p 0.27). It would "
            "have to be "
            "right on 9 more than version 1 (+0.0251); if it is as much better as it seems, about 1,600 test "
            "images would tell.",
        ),
        (
            (1, 0, 359),
            Role.CHALLENGER,
            "it is right on 1 more test image than version 1, which may be chance (p 1). It would have to "
            "be right "
            "on 6 more than version 1 (+0.0167); if it is as much better as it seems, about 3,200 test "
            "images would tell.",
        ),
        (
            (4, 4, 359),
            Role.CHALLENGER,
            "it is right on as many test images as version 1. It would have to be right on 8 more than "
            "version 1 (+0.0223).",
        ),
        (
            (4, 9, 359),
            Role.CHALLENGER,
            "it is right on 5 fewer test images than version 1, which may be chance (p 0.27). It would "
            "have to be "
            "right on 9 more than version 1 (+0.0251).",
        ),
        (
            (0, 20, 359),
            Role.CHALLENGER,
            "it is right on 20 fewer test images than version 1, beyond chance (p < 0.0001). It would "
            "have to be "
            "right on 10 more than version 1 (+0.0279).",
        ),
        (
            (5, 0, 5),
            Role.CHALLENGER,
            "it is right on 5 more test images than version 1, which may be chance (p 0.062). Only 5 test "
            "images "
            "tell no two models apart: 6 at least are needed.",
        ),
    ],
)
def test_decision_follows_from_the_counts(counts: tuple[int, int, int], role: Role, reason: str) -> None:
    paired = Paired(*counts)
    assert decide("1", paired) == Decision(role, reason, "1", paired)


def test_first_model_is_the_champion() -> None:
    assert decide(None, None) == Decision(Role.CHAMPION, "there was no champion")


@pytest.mark.parametrize(
    ("rival", "paired", "reason"),
    [
        (None, None, "by force, because it is small"),
        ("1", None, "by force, because it is small"),
        (
            "1",
            Paired(0, 1, 359),
            "by force, because it is small; it is right on 1 fewer test image than version 1, which may "
            "be chance "
            "(p 1)",
        ),
    ],
)
def test_force_makes_a_champion_and_keeps_the_comparison(
    rival: str | None, paired: Paired | None, reason: str
) -> None:
    decision = decide(rival, paired, "it is small")
    assert decision == Decision(Role.CHAMPION, reason, rival, paired, "it is small")
    assert decision.tags["forced"] == "it is small"


def test_tags_of_a_later_decision_replace_all_of_an_earlier_one() -> None:
    compared, first = decide("1", Paired(9, 1, 359)).tags, decide(None, None).tags
    assert compared.keys() == first.keys()
    assert compared == {
        "decision": "champion",
        "promotion": "it is right on 8 more test images than version 1, beyond chance (p 0.021)",
        "compared_with": "1",
        "only_this_right": "9",
        "only_other_right": "1",
        "difference": "+0.0223 (+0.0064 to +0.0445)",
        "mcnemar_p": "0.02148",
        "forced": "none",
    }
    assert set(first.values()) == {"champion", "there was no champion", "none"}
    assert decide("1", Paired(9, 4, 359)).description.startswith("Challenger: it is right on 5 more")

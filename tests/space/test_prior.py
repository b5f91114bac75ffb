"""A prior is read from YAML and from the command line, and a prior without sense is refused."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import FloatDistribution

from kerasweep.errors import ConfigError
from kerasweep.space.axis import Axis
from kerasweep.space.parse import axis_of_entry, axis_of_override
from kerasweep.space.prior import Prior
from kerasweep.space.space import Space

RATE = "tag(log, interval(1e-5, 1e-1))"


def axis(entry: Any) -> Axis:
    return axis_of_entry("rate", entry, lambda key: [])


@pytest.mark.parametrize(
    "entry",
    [
        {"range": RATE, "prior": "normal(1e-3, 0.5)"},
        {"range": RATE, "prior": "normal(0.001,5e-1)", "when": {"optimizer": "sgd"}},
        'tag(log, "normal(1e-3, 0.5)", interval(1e-5, 1e-1))',
        "tag('normal(1e-3,0.5)',log,interval(1e-5,1e-1))",
    ],
)
def test_a_prior_is_read(entry: Any) -> None:
    assert axis(entry).prior == Prior(0.001, 0.5)
    assert axis(entry).distribution == FloatDistribution(1e-5, 1e-1, log=True)


def test_the_command_line_has_the_same_form() -> None:
    override = OverridesParser.create().parse_override('width=tag("normal(32,8)",range(8,65,8))')
    assert axis_of_override(override, lambda key: []).prior == Prior(32, 8)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            'tag("normal(3,1)",choice(3,5))',
            "rate has the prior normal(3,1), but its values are a list. Give a range, as in "
            "interval(1e-5,1e-1), or leave the prior out.",
        ),
        *(
            (
                {"range": "interval(0.0,1.0)", "prior": text},
                f"rate has the prior {text}, but expected normal(CENTER, SPREAD) with a spread above 0. "
                "Write it as in normal(1e-3, 0.5).",
            )
            for text in (
                *("normal(0.5, 0)", "normal(0.5, -1)", "normal(0.5)", "normal(nan, 1)", "normal(a, b)"),
                *("normal(0.5, inf)", "uniform(0, 1)", "0.5", "None"),
            )
        ),
        (
            'tag("norml(0.5,1)",interval(0.0,1.0))',
            "rate has the prior norml(0.5,1), but expected normal(CENTER, SPREAD) with a spread above 0. "
            "Write it as in normal(1e-3, 0.5).",
        ),
        (
            {"range": RATE, "prior": "normal(1, 0.5)"},
            "rate has the prior normal(1, 0.5), whose center lies outside 1e-05 … 0.1. Move it inside, or "
            "widen the range.",
        ),
    ],
)
def test_a_prior_without_sense_is_refused(entry: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        axis(entry)
    assert str(refused.value) == message


def test_a_prior_does_not_define_the_sweep() -> None:
    def spelled(entry: Any) -> Space:
        return Space((axis(entry),), {}.get)

    assert (
        spelled({"range": RATE, "prior": "normal(1e-3, 0.5)"}).canonical()
        == spelled({"range": RATE, "prior": "normal(1e-2, 1)"}).canonical()
        == spelled(RATE).canonical()
    )


@pytest.mark.parametrize(
    ("narrower", "kept"),
    [
        ("tag(log,interval(1e-4,1e-2))", Prior(1e-3, 0.5)),
        ('tag(log,"normal(5e-3,1)",interval(1e-4,1e-2))', Prior(5e-3, 1)),
        ("tag(log,interval(1e-2,1e-1))", None),  # the center lies outside
        ("interval(1e-4,1e-2)", None),  # the spread is in factors of ten
        ("1e-4,1e-3", None),
    ],
)
def test_another_range_keeps_a_prior_that_fits(narrower: str, kept: Prior | None) -> None:
    old = axis({"range": RATE, "prior": "normal(1e-3, 0.5)", "when": {"optimizer": "sgd"}})
    assert axis(narrower).in_place_of(old).prior == kept
    assert axis(narrower).in_place_of(old).conditions == {"optimizer": ("sgd",)}


def test_a_prior_is_described() -> None:
    entry = {"range": RATE, "prior": "normal(1e-3, 0.5)", "when": {"optimizer": "sgd"}}
    assert axis(entry).describe() == "1e-05 … 0.1 (log), prior normal(0.001, 0.5), when optimizer is sgd"

"""Decides whether a model becomes the champion of its name, and says why in one sentence."""

import math
from dataclasses import dataclass
from enum import StrEnum

from kerasweep.handover.paired import Paired, images_needed, needed_gain
from kerasweep.report.statistics import p_text

SAID_DIGITS = 2  # of a number of images that is only an estimate
NONE = "none"


class Role(StrEnum):
    """An alias that src.promote gives to a version."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"


@dataclass(frozen=True)
class Decision:
    """The alias that a model gets, and why."""

    role: Role
    reason: str  # the end of a sentence that begins "version 2 of digits is the challenger: "
    rival: str | None = None  # the version that it was compared with
    paired: Paired | None = None  # the counts; the first model is the candidate
    forced: str | None = None  # the user's reason, if the user decided

    @property
    def description(self) -> str:
        """What MLflow's pages show of the version."""
        return f"{self.role.capitalize()}: {self.reason.removesuffix('.')}."

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the version, all of them in any case: a later decision replaces an earlier one."""
        paired = self.paired
        low, high = paired.interval if paired else (math.nan, math.nan)
        return {
            "decision": self.role,
            "promotion": self.reason,
            "compared_with": self.rival or NONE,
            "only_this_right": str(paired.only_first) if paired else NONE,
            "only_other_right": str(paired.only_second) if paired else NONE,
            "difference": f"{paired.difference:+.4f} ({low:+.4f} to {high:+.4f})" if paired else NONE,
            "mcnemar_p": f"{paired.p_value:.4g}" if paired else NONE,
            "forced": self.forced or NONE,
        }


def decide(rival: str | None, paired: Paired | None, forced: str | None = None) -> Decision:
    """Decides between a candidate and the champion.

    Args:
        rival: The champion's version; None if there is no champion.
        paired: How both classify the candidate's test images; None if they were not compared.
        forced: Why the user makes the candidate champion whatever the comparison says.
    """
    if forced is not None:
        seen = f"; {_standing(rival, paired)}" if rival and paired else ""
        return Decision(Role.CHAMPION, f"by force, because {forced}{seen}", rival, paired, forced)
    if rival is None or paired is None:
        return Decision(Role.CHAMPION, "there was no champion")
    if paired.is_better:
        return Decision(Role.CHAMPION, _standing(rival, paired), rival, paired)
    reason = f"{_standing(rival, paired)}. {_what_is_missing(rival, paired)}"
    return Decision(Role.CHALLENGER, reason, rival, paired)


def _standing(rival: str, paired: Paired) -> str:
    """Says how a candidate did against the champion, without a full stop."""
    if paired.gain == 0:
        return f"it is right on as many test images as version {rival}"
    amount = f"{abs(paired.gain):,} {'more' if paired.gain > 0 else 'fewer'}"
    noun = "test image" if abs(paired.gain) == 1 else "test images"
    chance = "beyond chance" if paired.is_beyond_chance else "which may be chance"
    return f"it is right on {amount} {noun} than version {rival}, {chance} ({p_text(paired.p_value)})"


def _what_is_missing(rival: str, paired: Paired) -> str:
    """Says by how much the candidate would have to be better, and how many images would tell."""
    gain = needed_gain(paired.discordant)
    if gain > paired.images:
        return f"Only {paired.images:,} test images tell no two models apart: {gain} at least are needed."
    more = f"{gain:,} more than version {rival} ({gain / paired.images:+.4f})"
    need = f"It would have to be right on {more}"
    count = images_needed(paired)
    if count is None:
        return f"{need}."
    return (
        f"{need}; if it is as much better as it seems, about {_rounded_up(count):,} test images would tell."
    )


def _rounded_up(count: int) -> int:
    step = 10 ** max(0, len(str(count)) - SAID_DIGITS)
    return math.ceil(count / step) * step

"""Compares the data and the code that a process reads with those of its sweep."""

from functools import cache

from omegaconf import DictConfig

from kerasweep.config.search import TrialConf
from kerasweep.config.target import named_targets
from kerasweep.config.target_source import source_digest
from kerasweep.data.prepare import Prepared
from kerasweep.errors import ChangedError
from kerasweep.results import TrialRef
from kerasweep.tracking.tags import TARGETS_TAG


def check_digest(prepared: Prepared, ref: TrialRef) -> None:
    """Raises ChangedError if this process reads other data than its sweep."""
    if ref.data_digest not in (None, prepared.digest):
        raise ChangedError(
            f"This process reads other data than its sweep: the digest is {prepared.digest} here, and "
            f"{ref.data_digest} there. The files changed, or the function of data.target draws at random: "
            "restore the files, or seed its draws."
        )


def note_code(cfg: DictConfig) -> None:
    """Notes the code of the user's targets as this process finds it, before it imports them."""
    for _, target in named_targets(cfg):
        _digest_at_start(target)


def check_code(cfg: DictConfig, ref: TrialRef) -> None:
    """Raises ChangedError if the code of a user's target was edited before this process noted it.

    Later edits do not change the module that this process has imported.
    """
    for key, target in named_targets(cfg):
        found = _digest_at_start(target) if target in ref.code else None
        if found is not None and found != ref.code[target]:
            raise ChangedError(
                f"The code of {key}={target} changed while the sweep ran. Restore the file to go on with its "
                "trials, or begin anew with study.fresh=true."
            )


def targets_tag(cfg: DictConfig) -> dict[str, str]:
    """Returns the tag with the user's targets and the digests of their code; empty without such targets.

    A digest is `unknown` if the module has no source file.
    """
    users = [target for _, target in named_targets(cfg) if target != TrialConf.target]
    text = " ".join(f"{target}={_digest_at_start(target) or 'unknown'}" for target in users)
    return {TARGETS_TAG: text} if users else {}


@cache
def _digest_at_start(target: str) -> str | None:
    return source_digest(target)

"""Compares the data and the code that a process reads with those of its sweep."""

from functools import cache

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.backbones import preset_folder
from kerasweep.config.search import TrialConf
from kerasweep.config.target import named_targets
from kerasweep.config.target_source import source_digest
from kerasweep.data.prepare import Prepared
from kerasweep.errors import ChangedError
from kerasweep.model.weights import backbone_identity, is_weights_file
from kerasweep.results import TrialRef
from kerasweep.tracking.tags import BACKBONE_WEIGHTS, TARGETS_TAG


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


def code_tags(cfg: DictConfig) -> dict[str, str]:
    """Returns tags with the digests of the user's targets and of a backbone's files, if any.

    The digest of a target is `unknown` if the module has no source file.
    """
    users = [target for _, target in named_targets(cfg) if target != TrialConf.target]
    text = " ".join(f"{target}={_digest_at_start(target) or 'unknown'}" for target in users)
    weights, backbone = (OmegaConf.select(cfg, f"model.{key}") for key in ("weights", "backbone"))
    has_files = is_weights_file(weights) or preset_folder(backbone) is not None
    return {
        **({TARGETS_TAG: text} if users else {}),
        **({BACKBONE_WEIGHTS: backbone_identity(cfg.model)} if has_files else {}),
    }


@cache
def _digest_at_start(target: str) -> str | None:
    return source_digest(target)

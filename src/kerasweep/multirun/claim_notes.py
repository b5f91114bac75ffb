"""Says what a sweep lacks to decide its claim; it is trained all the same, to see it run perhaps."""

from omegaconf import DictConfig

from kerasweep.config.search import TrialConf
from kerasweep.report.claims import MIN_SEEDS
from kerasweep.report.selection import SEED
from kerasweep.space.axis import Space
from kerasweep.trial.metrics import MIN_EPOCHS

ENOUGH_SEEDS = 5


def claim_notes(cfg: DictConfig, space: Space) -> list[str]:
    """A sentence for the seeds, and one for the epochs, that a claim takes and these runs will not have.

    cfg: what all trials share.
    """
    if cfg.study.claim is None:
        return []
    notes = []
    axes = {axis.name for axis in space.axes}
    repeats = cfg.study.repeats
    if repeats < MIN_SEEDS and SEED not in axes:
        notes.append(
            f"the claim takes {MIN_SEEDS} seeds, and study.repeats={repeats} cannot decide it; "
            f"study.repeats={ENOUGH_SEEDS} gives enough"
        )
    varies = any(comparison.measure == "epoch_variability" for comparison in cfg.study.claim.comparisons)
    epochs, is_own = cfg.training.epochs, cfg.trial.target != TrialConf.target
    if varies and epochs < MIN_EPOCHS and "training.epochs" not in axes and not is_own:
        notes.append(
            f"the claim measures epoch_variability, which takes {MIN_EPOCHS} epochs, "
            f"and training.epochs={epochs} cannot decide it"
        )
    return notes

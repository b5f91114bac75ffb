"""Finds what the repeats of a comparison vary: the seed alone, or the split of the images, too."""

from collections.abc import Iterable
from dataclasses import dataclass

from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.tracking.run_record import RunRecord

SEED, DATA_SEED, SPLIT_SEED = REPEATED_KEYS
VALIDATION = "data.validation_split"
# The keys that repeat a training, and their tags where they are axes. They are never compared.
REPEATED = {SEED: "training.seed", DATA_SEED: "data.seed", SPLIT_SEED: "split_seed"}


@dataclass(frozen=True)
class Repetition:
    """The repeats of a comparison: blocks of runs that share a split, or the seed if all share the split."""

    has_splits: bool = False
    # The number of validation images divided by that of training images if the splits differ, else 0. Means
    # over n splits have the variance s² (1/n + overlap): their training sets share images. Nadeau and Bengio
    # (2003), Inference for the generalization error, https://doi.org/10.1023/A:1024068626366
    overlap: float = 0.0

    def block(self, run: RunRecord) -> str:
        """Returns the run's split or seed; the run's id if it records none."""
        return _split(run) if self.has_splits else run.params.get(SEED, run.run_id)


# All runs share one split.
BY_SEED = Repetition()


def repetition_of(runs: Iterable[RunRecord]) -> Repetition:
    """Returns the repetition of runs that are compared. Seeds that share a split are averaged."""
    runs = list(runs)
    if len({_split(run) for run in runs}) < 2:
        return BY_SEED
    shares = [float(run.params[VALIDATION]) for run in runs if VALIDATION in run.params]
    return Repetition(True, max((share / (1 - share) for share in shares), default=0.0))


def _split(run: RunRecord) -> str:
    seed, split = run.params.get(DATA_SEED, "0"), run.params.get(SPLIT_SEED, "null")
    return f"{seed} {seed if split == 'null' else split}"

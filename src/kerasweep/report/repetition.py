"""Finds what the repeats of a comparison vary: the seed alone, or the split of the images, too."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import POOL_IMAGES, SPLIT, VALIDATION_IMAGES

SEED, DATA_SEED, SPLIT_SEED = REPEATED_KEYS
VALIDATION, FOLDS = "data.validation_split", "data.folds"
SOURCES = ("data.path", "data.target")
# The keys that repeat a training, and their tags where they are axes. They are never compared.
REPEATED = {SEED: "training.seed", DATA_SEED: "data.seed", SPLIT_SEED: "split_seed"}


@dataclass(frozen=True)
class Repetition:
    """The repeats of a comparison: blocks of runs that share a split, or the seed if all share the split."""

    has_splits: bool = False
    # If the splits differ, v / (p - v) for v validation images drawn from a pool of p images, else 0. Means
    # over n splits have the variance s² (1/n + overlap), since splits share images: two of them correlate by
    # v / p. Without data.limit it is the number of validation images divided by that of training images:
    # With folds it is 1 / (folds - 1). Nadeau and Bengio (2003), Inference for the generalization error,
    # https://doi.org/10.1023/A:1024068626366
    overlap: float = 0.0
    # By the seeds of a split the name of its block: several seeds may draw the same validation images.
    blocks: Mapping[str, str] = field(default_factory=dict)

    def block(self, run: RunRecord) -> str:
        """Returns the run's split or seed; the run's id if it records none."""
        if not self.has_splits:
            return run.params.get(SEED, run.run_id)
        seeds = _split_seeds(run)
        return self.blocks.get(seeds, seeds)


# All runs share one split.
BY_SEED = Repetition()


def repetition_of(runs: Iterable[RunRecord]) -> Repetition:
    """Returns the repetition of runs that are compared. Seeds that share a split are averaged.

    Splits are told apart by the validation images that the runs recorded, for runs of older versions by their
    seeds. Data with an own validation part has one split, whatever the seeds.
    """
    runs = list(runs)
    if len({_split_seeds(run) for run in runs}) < 2:
        return BY_SEED
    drawn: dict[tuple[str | None, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for run in runs:
        seeds = _split_seeds(run)
        drawn[_data(run)][run.tags.get(SPLIT, seeds)].add(seeds)
    parts = [_joined(images.values()) for images in drawn.values()]
    joined = _joined(seeds for part in parts if len(part) > 1 for seeds in part)
    if not joined:
        return BY_SEED
    shares = [share for run in runs if (share := _validating_share(run)) is not None]
    overlap = max((share / (1 - share) for share in shares), default=0.0)
    return Repetition(True, overlap, {seeds: min(block) for block in joined for seeds in block})


def has_folds(run: RunRecord) -> bool:
    """Whether a run's validation images are a fold of its images."""
    return run.params.get(FOLDS, "null") != "null"


def _validating_share(run: RunRecord) -> float | None:
    """Returns the share of the pool that validates; for runs of older versions, of the drawn images."""
    if has_folds(run):
        return 1 / int(run.params[FOLDS])
    if POOL_IMAGES in run.metrics:
        return run.metrics[VALIDATION_IMAGES] / run.metrics[POOL_IMAGES]
    return float(run.params[VALIDATION]) if VALIDATION in run.params else None


def _split_seeds(run: RunRecord) -> str:
    seed, split = run.params.get(DATA_SEED, "0"), run.params.get(SPLIT_SEED, "null")
    return f"{seed} {seed if split == 'null' else split}"


def _data(run: RunRecord) -> tuple[str | None, ...]:
    """Returns what tells a run's data set from another, which may have an own validation part."""
    return run.tags.get("dataset"), *map(run.params.get, SOURCES)


def _joined(sets: Iterable[set[str]]) -> list[set[str]]:
    """Joins sets that have an element in common."""
    parts: list[set[str]] = []
    for each in sets:
        touching = [part for part in parts if part & each]
        parts = [part for part in parts if not part & each] + [each.union(*touching)]
    return parts

"""Compares two trainings of one configuration to the last bit, and names what may have made them differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kerasweep.tracking.source import COMMIT, COMMIT_DIGITS, DIFF, DIRTY, KERASWEEP, NO_DIFF
from kerasweep.tracking.tags import BACKBONE_WEIGHTS, RESTORED_EPOCHS, TARGETS_TAG, WEIGHTS_DIGEST
from kerasweep.training.numerics import ALL, NO_GPU

Tags = Mapping[str, str]
NO_CAUSE = "no cause is known, all that is recorded is equal"
# Tags that runs of older versions lack, with their names in a sentence.
RECORDED = {"processor": "the processor", "packages": "the packages", DIFF: "the changes since the commit"}
# Tags of the machine whose values are shown if they differ.
SETTINGS = {"onednn": "oneDNN's setting", "environment": "the environment", "gpu": "the GPU"}


@dataclass(frozen=True)
class Training:
    """A training as it was recorded."""

    history: Mapping[str, Sequence[float]]  # the values of each metric by epoch
    tags: Tags  # of its run
    data_digest: str | None = None  # None if it was not recorded

    @property
    def epochs(self) -> int:
        return min(map(len, self.history.values()), default=0)


@dataclass(frozen=True)
class Verdict:
    """Whether two trainings are equal."""

    is_equal: bool
    text: str  # a sentence without its full stop


def compare_trainings(
    recorded: Training, again: Training, is_deterministic: bool, error: str | None = None
) -> Verdict:
    """Compares a training with its repetition.

    Args:
        recorded: The first training.
        again: The second one.
        is_deterministic: training.deterministic, which both share.
        error: How the second one ended before its last epoch.
    """
    place = find_difference(recorded, again) if error is None else f"after epoch {again.epochs}: {error}"
    if place is None:
        epochs = f"{recorded.epochs} epoch{'' if recorded.epochs == 1 else 's'}"
        compared = "metrics and weights" if WEIGHTS_DIGEST in recorded.tags else "metrics"
        return Verdict(True, f"equal: {epochs}, all {compared} bitwise")
    causes = list(find_causes(recorded, again, is_deterministic))
    return Verdict(False, f"differs {place}: {'; '.join(causes) or NO_CAUSE}")


def find_difference(recorded: Training, again: Training) -> str | None:
    """Returns where two trainings differ, as in `from epoch 3 on (val_loss 2e-07)`; None if they are equal.

    Weights are compared by their digests, if both have one.
    """
    for epoch in range(min(recorded.epochs, again.epochs)):
        distances = {
            metric: abs(values[epoch] - again.history[metric][epoch])
            for metric, values in recorded.history.items()
            if values[epoch] != again.history[metric][epoch]
        }
        if distances:
            metric = max(distances, key=lambda name: distances[name])
            return f"from epoch {epoch + 1} on ({metric} {distances[metric]:.1g})"
    if recorded.epochs != again.epochs:
        last = min(recorded.epochs, again.epochs)
        return f"after epoch {last}: {again.epochs} epochs, not {recorded.epochs}"
    digests = {training.tags.get(WEIGHTS_DIGEST) for training in (recorded, again)} - {None}
    return "in the weights alone" if len(digests) > 1 else None


def find_causes(recorded: Training, again: Training, is_deterministic: bool) -> Iterator[str]:
    """Yields what differs between two trainings, or was not recorded, and can change the bits.

    Args:
        recorded: The first training.
        again: The second one.
        is_deterministic: training.deterministic, which both share.
    """
    before, now = recorded.tags, again.tags
    yield from find_changes(before, now)
    if before.get(DIRTY) == "true" and before.get(DIFF) == NO_DIFF:
        yield "files that git does not know are not recorded"
    if not is_deterministic and (_threads(now) != "1" or now.get("gpu", NO_GPU) != NO_GPU):
        yield "training.deterministic=false lets threads add in any order"
    if RESTORED_EPOCHS in before:
        yield (
            f"its first {before[RESTORED_EPOCHS]} epochs are of an earlier attempt, whose code and machine "
            "are not recorded"
        )
    missing = [name for tag, name in RECORDED.items() if tag in now and tag not in before]
    missing += ["the data"] if recorded.data_digest is None else []
    if missing:
        yield f"not recorded: {', '.join(missing)}"


def find_changes(before: Tags, now: Tags) -> Iterator[str]:
    """Yields what is another in the tags of two runs: code, packages, machine, environment."""
    yield from _changes_of_code(before, now)
    for pin in different_packages(before, now):
        package, version = pin.split("==")
        yield f"{package} is another version ({version} / {_versions(now).get(package, 'none')})"
    yield from _changes_of_processor(before, now)
    for tag, name in SETTINGS.items():
        if tag in before and before[tag] != now.get(tag):
            yield f"{name} is another ({before[tag]} / {now.get(tag, 'none')})"


def different_packages(before: Tags, now: Tags) -> list[str]:
    """Returns the pins of the recorded packages that have another version now."""
    pins = set(now.get("packages", "").split())
    return [pin for pin in before.get("packages", "").split() if pin not in pins]


def _versions(tags: Tags) -> dict[str, str]:
    return dict(pin.split("==") for pin in tags.get("packages", "").split())


def _changes_of_code(before: Tags, now: Tags) -> Iterator[str]:
    if COMMIT in before and before[COMMIT] != now.get(COMMIT):
        yield f"the code is another (commit {_commit(before)} / {_commit(now)})"
    elif DIFF in before and before[DIFF] != now.get(DIFF, NO_DIFF):
        yield f"the code is another (commit {_commit(before)} with other changes)"
    if TARGETS_TAG in before and before[TARGETS_TAG] != now.get(TARGETS_TAG):
        yield f"your code is another ({before[TARGETS_TAG]} / {now.get(TARGETS_TAG, 'none')})"
    if BACKBONE_WEIGHTS in before and before[BACKBONE_WEIGHTS] != now.get(BACKBONE_WEIGHTS):
        weights = f"{before[BACKBONE_WEIGHTS]} / {now.get(BACKBONE_WEIGHTS, 'none')}"
        yield f"the backbone begins with other weights ({weights})"
    if KERASWEEP in before and before[KERASWEEP] != now.get(KERASWEEP):
        yield f"kerasweep is another version ({before[KERASWEEP]} / {now.get(KERASWEEP, 'none')})"


def _commit(tags: Tags) -> str:
    return tags.get(COMMIT, "none")[:COMMIT_DIGITS]


def _changes_of_processor(before: Tags, now: Tags) -> Iterator[str]:
    if before.get("instructions", now.get("instructions")) != now.get("instructions"):
        old, new = before["instructions"].split(), now.get("instructions", "").split()
        only_old = " ".join(name for name in old if name not in new) or "none"
        only_new = " ".join(name for name in new if name not in old) or "none"
        yield f"the processor is another ({only_old} / {only_new})"
    elif "processor" in before and before["processor"] != now.get("processor"):
        yield f"the processor is another ({before['processor']} / {now.get('processor', 'none')})"
    if "threads" in before and _threads(before) != _threads(now):
        yield f"the number of threads is another ({_threads(before)} / {_threads(now)})"


def _threads(tags: Tags) -> str:
    """Returns the number of threads; `all` if the run did not record its cores."""
    threads = tags.get("threads", ALL)
    return tags.get("cores", threads) if threads == ALL else threads

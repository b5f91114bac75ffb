"""Compares two trainings of one configuration to the last bit, and names what may have made them differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kerasweep.tracking.source import COMMIT, DIFF, DIRTY
from kerasweep.tracking.tags import TARGETS_TAG, WEIGHTS_DIGEST

Tags = Mapping[str, str]
# A commit is named by its first digits.
COMMIT_DIGITS = 8
OLDER = "it was recorded by an older version, without {}"


@dataclass(frozen=True)
class Training:
    """What two trainings are compared by."""

    history: Mapping[str, Sequence[float]]  # the values of each metric by epoch
    tags: Tags  # of its run

    @property
    def epochs(self) -> int:
        return min(map(len, self.history.values()))


def difference(recorded: Training, again: Training) -> str | None:
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
        return (
            f"after epoch {min(recorded.epochs, again.epochs)}: {again.epochs} epochs, not {recorded.epochs}"
        )
    digests = {training.tags.get(WEIGHTS_DIGEST) for training in (recorded, again)} - {None}
    return "in the weights alone" if len(digests) > 1 else None


def verdict(recorded: Training, again: Training, is_deterministic: bool) -> str:
    """Returns the sentence on a training that was repeated.

    Args:
        recorded: The first training.
        again: The second one.
        is_deterministic: training.deterministic, which both share.
    """
    where = difference(recorded, again)
    if where is None:
        compared = "metrics and weights" if WEIGHTS_DIGEST in recorded.tags else "metrics"
        return f"equal: {recorded.epochs} epochs, all {compared} bitwise"
    known = list(causes(recorded.tags, again.tags, is_deterministic))
    return f"differs {where}: {'; '.join(known) or 'no cause is known, all that is recorded is equal'}"


def causes(there: Tags, here: Tags, is_deterministic: bool) -> Iterator[str]:
    """Yields what differs between two runs that can change the bits of a training.

    Args:
        there: The tags of the recorded run.
        here: The tags of the new run.
        is_deterministic: training.deterministic, which both share.
    """
    yield from _of_the_code(there, here)
    for package, versions in _packages(there, here):
        yield f"{package} is another version ({versions})"
    yield from _of_the_processor(there, here)
    for tag, name in (("onednn", "oneDNN's setting"), ("gpu", "the GPU")):
        if tag in there and there[tag] != here.get(tag):
            yield f"{name} is another ({there[tag]} / {here.get(tag)})"
    if not is_deterministic and (_threads(here) != "1" or here.get("gpu", "none") != "none"):
        yield "training.deterministic=false lets threads add in any order"
    missing = [name for name in ("processor", "packages") if name not in there]
    if missing:
        yield OLDER.format(" and ".join(missing))


def different_packages(there: Tags, here: Tags) -> list[str]:
    """Returns the pins of the recorded packages that have another version here."""
    mine = set(here.get("packages", "").split())
    return [pin for pin in there.get("packages", "").split() if pin not in mine]


def _of_the_code(there: Tags, here: Tags) -> Iterator[str]:
    if there.get(COMMIT) != here.get(COMMIT):
        yield f"the code is another (commit {_commit(there)} / {_commit(here)})"
    elif there.get(DIFF) != here.get(DIFF) or there.get(DIRTY) != here.get(DIRTY):
        yield f"the code is another (commit {_commit(there)} with other changes)"
    if there.get(TARGETS_TAG, here.get(TARGETS_TAG)) != here.get(TARGETS_TAG):
        yield f"your code is another ({there[TARGETS_TAG]} / {here.get(TARGETS_TAG, 'none')})"
    if there.get("kerasweep", here.get("kerasweep")) != here.get("kerasweep"):
        yield f"kerasweep is another version ({there['kerasweep']} / {here['kerasweep']})"


def _commit(tags: Tags) -> str:
    return tags.get(COMMIT, "none")[:COMMIT_DIGITS]


def _packages(there: Tags, here: Tags) -> Iterator[tuple[str, str]]:
    mine = dict(pin.split("==") for pin in here.get("packages", "").split())
    for pin in different_packages(there, here):
        package, version = pin.split("==")
        yield package, f"{version} / {mine.get(package, 'none')}"


def _of_the_processor(there: Tags, here: Tags) -> Iterator[str]:
    if there.get("instructions", here.get("instructions")) != here.get("instructions"):
        ours, theirs = here["instructions"].split(), there["instructions"].split()
        only_there = " ".join(name for name in theirs if name not in ours) or "none"
        only_here = " ".join(name for name in ours if name not in theirs) or "none"
        yield f"the processor is another ({only_there} / {only_here})"
    elif there.get("processor", here.get("processor")) != here.get("processor"):
        yield f"the processor is another ({there['processor']} / {here['processor']})"
    if "threads" in there and _threads(there) != _threads(here):
        yield f"the number of threads is another ({_threads(there)} / {_threads(here)})"


def _threads(tags: Tags) -> str:
    """Returns the number of threads; `all` if the run did not record its cores."""
    threads = tags.get("threads", "all")
    return tags.get("cores", threads) if threads == "all" else threads

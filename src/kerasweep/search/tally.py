"""Counts the trials of a study, and reads each ended trial once, however often a driver asks."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import dominates
from kerasweep.search.ledger import REJECTED, clean_params, counts
from kerasweep.search.owner import OWNER
from kerasweep.space.rows import Params
from kerasweep.space.space import Signature, Space, signature


class Tally:
    """The numbers of a study's trials, and their configurations.

    A trial that has ended never changes, so that only the others are read again.

    Args:
        space: The axes of the configurations.
        directions: Optuna's direction of each objective, in lower case.

    Attributes:
        trials: All trials at the last update.
        ended: How many trials have ended, rejected ones aside.
        running: How many trials run.
        best: The values of complete trials that no other one dominates.
    """

    def __init__(self, space: Space, directions: tuple[str, ...]) -> None:
        self.space = space
        self.trials: Sequence[FrozenTrial] = ()
        self.ended = 0
        self.running = 0
        self.best: tuple[tuple[float, ...], ...] = ()
        self._directions = directions
        self._open: dict[
            int, Signature | None
        ] = {}  # trials that have not ended; their configurations if known
        self._done: set[Signature] = set()
        self._counted = 0  # ended trials that count
        self._under_way: set[Signature] = set()

    @property
    def begun(self) -> int:
        """How many trials count towards the total, running ones included."""
        return self._counted + self.running

    @property
    def configurations(self) -> int:
        """How many different configurations were tried or are under way."""
        return len(self._done | self._under_way)

    def has_tried(self, params: Params) -> bool:
        """Returns whether a trial that counts has this configuration."""
        name = signature(params)
        return name in self._done or name in self._under_way

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Counts what has changed.

        Args:
            trials: All trials of the study, by their numbers.
        """
        unread = {**self._open, **dict.fromkeys(range(len(self.trials), len(trials)))}
        self.trials, self._open, self._under_way, self.running = trials, {}, set(), 0
        for number, name in unread.items():
            trial = trials[number]
            if trial.state.is_finished():
                self._add(trial)
                continue
            if trial.state is TrialState.RUNNING:
                self.running += 1
                name = name or signature(clean_params(self.space, trial))
                self._under_way.add(name)
            # All values of a trial are chosen before a driver claims it.
            self._open[number] = name if OWNER in trial.user_attrs else None

    def _add(self, trial: FrozenTrial) -> None:
        self.ended += REJECTED not in trial.user_attrs
        if not counts(trial):
            return
        self._counted += 1
        self._done.add(signature(clean_params(self.space, trial)))
        if trial.state is TrialState.COMPLETE:
            self._compare(tuple(trial.values))

    def _compare(self, values: tuple[float, ...]) -> None:
        """Adds the values of a complete trial to the best ones, unless another trial's are as good."""
        if any(other == values or dominates(other, values, self._directions) for other in self.best):
            return
        kept = (other for other in self.best if not dominates(values, other, self._directions))
        self.best = (*kept, values)


# The tallies of this process, as of the last ask.
_tallies: WeakKeyDictionary[Study, Tally] = WeakKeyDictionary()


def tally_of(study: Study, space: Space) -> Tally:
    """Returns the numbers of a study's trials, as they are now."""
    tally = _tallies.get(study)
    if tally is None or tally.space is not space:
        tally = Tally(space, tuple(direction.name.lower() for direction in study.directions))
        _tallies[study] = tally
    tally.update(study.get_trials(deepcopy=False))
    return tally


def best_at_last_ask(study: Study, space: Space) -> tuple[tuple[float, ...], ...]:
    """Returns the `best` of the study's tally, without another look at its trials."""
    tally = _tallies.get(study)
    return tally.best if tally is not None and tally.space is space else tally_of(study, space).best

"""Finds the graphs that the other drivers of a sweep have traced, so that this one traces others."""

from optuna.trial import FrozenTrial, TrialState

from kerasweep.search.ledger import clean_params
from kerasweep.search.owner import OWNER, this_owner
from kerasweep.search.sweep import Sweep

MAX_TRIALS = 500  # the newest ones: a worker finishes a graph before it begins another


class GraphsElsewhere:
    """Reads graphs of other drivers from the trials of a sweep."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._graphs: dict[int, str | None] = {}  # by the number of the trial

    def read(self) -> set[str | None]:
        """Returns the graphs of the newest trials of drivers that train one now, apart from this driver."""
        me, newest = this_owner(), self._sweep.study.get_trials(deepcopy=False)[-MAX_TRIALS:]
        running = (trial for trial in newest if trial.state is TrialState.RUNNING)
        others = {_name(trial) for trial in running if trial.user_attrs.get(OWNER, me) != me}
        return {self._graph(trial) for trial in newest if _name(trial) in others} if others else set()

    def _graph(self, trial: FrozenTrial) -> str | None:
        if trial.number not in self._graphs:
            self._graphs[trial.number] = self._sweep.graph_of(clean_params(self._sweep.space, trial))
        return self._graphs[trial.number]


def _name(trial: FrozenTrial) -> tuple[object, ...]:
    """Returns a hashable name of the trial's owner."""
    return tuple(trial.user_attrs.get(OWNER, {}).values())

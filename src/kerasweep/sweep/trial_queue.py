"""Chooses the trial that each worker trains next: one under way with repeats to train, or a new one."""

from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from optuna.exceptions import UpdateFinishedTrialError

from kerasweep.errors import RefusedError
from kerasweep.search.ask import Elsewhere, ask
from kerasweep.search.graphs_elsewhere import GraphsElsewhere
from kerasweep.search.ledger import completed_repeats
from kerasweep.search.pruners import PrunerInput
from kerasweep.search.stops import Ending
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.protocols import TrialRuns
from kerasweep.sweep.repeats import RepeatedTrial
from kerasweep.workers.affinity import GraphAffinity


class TrialQueue:
    """Opens trials, and keeps them until the driver removes them.

    Attributes:
        ending: Why no new trial is begun; None while there are new ones.
        elsewhere: The trials of other drivers, while only these are left.
    """

    def __init__(self, sweep: Sweep, runs: TrialRuns) -> None:
        self.ending: Ending | None = None
        self.elsewhere: Elsewhere | None = None
        self._sweep = sweep
        self._runs = runs
        self._under_way: list[RepeatedTrial] = []
        self._affinity = GraphAffinity(sweep.graph_of, sweep.repeats)
        self._graphs_elsewhere = GraphsElsewhere(sweep)
        self._waiting: set[int] = set()  # workers that found no trial

    @property
    def under_way(self) -> tuple[RepeatedTrial, ...]:
        """Trials that are begun and not removed; the run of some may not be open yet."""
        return tuple(self._under_way)

    def next_for(self, worker: int, hours: float, is_stopped: bool) -> RepeatedTrial | None:
        """Returns the trial whose next repeat a free worker trains, None if there is none for it now.

        A worker first finishes the trial that it began, then begins a new one. Once no trial is new, it helps
        with any trial under way.

        Args:
            worker: The worker's index.
            hours: How long the sweep has been at work.
            is_stopped: Whether the user has stopped the sweep: then no trial is new.

        Returns:
            A trial that may be over already, if earlier attempts trained all its repeats.

        Raises:
            UnreachableError: MLflow is away; the trial is opened in a later call.
        """
        if worker in self._waiting:
            return None
        trial = self._with_repeats(worker)
        if trial is None and not is_stopped:
            trial = self._new_trial(worker, hours)
        if trial is None and (is_stopped or self.ending is not None or self.elsewhere is not None):
            trial = self._with_repeats()
        if trial is None:
            self._waiting.add(worker)  # until a job ends or a tick passes: asking takes the sweep's lock
        return trial

    def ask_again(self) -> None:
        """Lets waiting workers ask again, because a job has ended or a tick has passed."""
        self._waiting.clear()

    def begin_job(self, worker: int, trial: RepeatedTrial, repeat: int) -> None:
        """Notes that a worker trains a repeat of the trial."""
        self._affinity.begin(worker, self._sweep.params_of(trial.proposal.params, repeat))

    def end_job(self, worker: int, trial: RepeatedTrial, repeat: int, is_complete: bool) -> None:
        """Notes that the worker's repeat has ended."""
        self._affinity.end(worker, self._sweep.params_of(trial.proposal.params, repeat), is_complete)
        self.ask_again()

    def forget_worker(self, worker: int) -> None:
        """Notes that the worker's process has died, and its graphs with it."""
        self._affinity.forget(worker)

    def remove(self, trial: RepeatedTrial) -> None:
        """Removes a trial that is settled."""
        self._under_way.remove(trial)

    def _with_repeats(self, worker: int | None = None) -> RepeatedTrial | None:
        """Returns a trial under way with repeats to train, begun by this worker; None stands for any.

        One worker trains all repeats of a trial: they share its graph, and a pruner that compares repeats can
        only save repeats that have not begun.
        """
        opened = (trial for trial in self._under_way if trial.opened is not None)
        able = (trial for trial in opened if trial.has_repeats and worker in (None, trial.worker))
        return next(able, None)

    def _new_trial(self, worker: int, hours: float) -> RepeatedTrial | None:
        postponed = next((trial for trial in self._under_way if trial.opened is None), None)
        if postponed is not None:
            return self._open(postponed)
        pick = partial(self._pick, worker)
        numbers = {trial.number for trial in self._under_way}
        answer = ask(self._sweep, numbers, hours, pick, self.elsewhere)
        self.ending = answer if isinstance(answer, Ending) else None
        self.elsewhere = answer if isinstance(answer, Elsewhere) else None
        if not isinstance(answer, Proposal):
            return None
        trial = RepeatedTrial(answer, self._sweep.repeats)
        self._under_way.append(trial)  # first, so that no error leaves it behind
        return self._open(trial)

    def _pick(self, worker: int, waiting: Iterable[Params]) -> Params | None:
        return self._affinity.pick(worker, waiting, self._graphs_elsewhere.read())

    def _open(self, trial: RepeatedTrial) -> RepeatedTrial:
        """Opens a trial's run, and skips the repeats that earlier attempts trained.

        If MLflow goes away meanwhile, the trial is not open yet: a later call does this again.
        """
        proposal = trial.proposal
        ref = self._runs.open_trial(proposal)
        if self._sweep.repeats > 1:
            trial.skip(completed_repeats(self._sweep.study, trial.number))
        for repeat, outcome in sorted(trial.done.items()):
            with suppress(RefusedError):  # the user deleted the run
                is_kept = self._runs.adopt_repeat(proposal, ref, repeat, outcome)
                trial.is_spooled = trial.is_spooled or is_kept
        trial.opened = ref
        if self._sweep.pruner_input is PrunerInput.REPEATS:
            with suppress(UpdateFinishedTrialError):  # another driver trains it again, as its end will show
                for repeat, outcome in sorted(trial.done.items()):
                    proposal.trial.report(outcome.values[0], repeat)
        return trial

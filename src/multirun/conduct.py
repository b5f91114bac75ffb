"""Conducts a sweep from its command line to its summary."""

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from src.multirun.composer import Composer, choices_of
from src.multirun.launch import JobLauncher
from src.multirun.legacy import read_legacy
from src.multirun.question import Question, read_question
from src.config import check
from src.config.keys import RUN_GROUPS, all_keys
from src.data.prepare import Prepared
from src.errors import ConfigError
from src.model.check import check_shape
from src.outcome import Outcome
from src.sweep import summary
from src.sweep.driver import Sweep, begin, drive
from src.sweep.propose import Proposal
from src.sweep.record import SweepRecord
from src.sweep.samplers import build_pruner, check_sampler
from src.sweep.space.axis import Params
from src.sweep.study import mend_journal, open_study, sweep_hash, sweep_lock, sweep_name
from src.tracking.names import short_names
from src.tracking.runs import open_tracker
from src.trial import read_data

DEFAULT_TRIALS = 20
DEFAULT_JOBS = "mlruns/jobs"
MOST_NAMED = 5


def conduct(
    context: HydraContext, config: DictConfig, arguments: list[str], legacy_keys: Mapping[str, Any]
) -> float | None:
    """Run the sweep that the arguments describe; returns the best value of its first objective."""
    legacy = read_legacy(legacy_keys)
    question = read_question(context, config, arguments, legacy)
    master = question.master
    _check_axes(question)
    composer = Composer(context, master, question.fixed, question.space)
    plan = _Plan(question, composer)
    sweep = plan.sweep()
    tracker = open_tracker(master.tracking)
    names = short_names([axis.key for axis in question.space.axes], all_keys())
    record = SweepRecord(tracker, plan.base, sweep, plan.study, names, choices_of(master))
    summary.print_header(sweep, plan.study, master, legacy.notes, plan.left_out())
    record.close_lost([trial.number for trial in begin(sweep)])
    _use_job_folder(master, sweep.name)
    launcher = JobLauncher(context, master, tracker)

    def train(proposal: Proposal) -> Outcome:
        params = proposal.params
        cfg, overrides = composer.compose(params), composer.overrides(params)
        ref = record.start_trial(
            proposal.trial.number, params, cfg, composer.choices(params), question.space.overrides(params)
        )
        finished = False
        try:
            outcome = launcher.train(ref, _pruning(proposal, len(sweep.directions)), overrides)
            finished = True
            return outcome
        finally:
            if not finished:
                tracker.finish(ref.run_id, "cancelled", "the sweep was stopped")

    def close(proposal: Proposal, outcome: Outcome) -> None:
        record.close_trial(outcome)
        summary.print_trial(sweep, proposal, outcome)

    reason, ended = "the sweep was stopped", False
    try:
        reason = drive(sweep, train, close)
        ended = True
    finally:
        record.close("complete" if ended else "cancelled", reason)
    summary.print_end(sweep, record, reason)
    return summary.best_value(sweep)


def _check_axes(question: Question) -> None:
    for axis in question.space.axes:
        root = axis.key.lstrip("+").partition(".")[0].partition("@")[0]
        if root not in RUN_GROUPS:
            raise ConfigError(
                f"{axis.key} cannot be swept: it does not define a run. Sweep keys of {', '.join(RUN_GROUPS)}."
            )


def _use_job_folder(master: DictConfig, sweep: str) -> None:
    """Put jobs into a folder of the sweep's own, unless hydra.sweep.dir says otherwise."""
    if master.hydra.sweep.dir != DEFAULT_JOBS:
        return
    folder = f"{DEFAULT_JOBS}/{sweep}"
    with open_dict(master):
        master.hydra.sweep.dir = folder
        master.hydra.overrides.hydra.append(f"hydra.sweep.dir='{folder}'")


def _pruning(proposal: Proposal, objectives: int) -> Callable[[int, float], bool]:
    """Report epochs to Optuna's pruner, which hears one objective only."""
    if objectives > 1:
        return lambda epoch, best: False

    def report(epoch: int, best: float) -> bool:
        proposal.trial.report(best, epoch)
        return proposal.trial.should_prune()

    return report


class _Plan:
    """What follows from a question before anything is recorded: data, name, total, refusals."""

    def __init__(self, question: Question, composer: Composer) -> None:
        self.question = question
        self.composer = composer
        self.space = question.space
        self._shapes: dict[str, Prepared] = {}
        self._refusals: dict[str, str | None] = {}
        self.base = self._base()
        directions = [objective.direction for objective in self.base.objective]
        check_sampler(self.base.sampler, self.space, len(directions))
        self.directions = directions
        self.study = self.base.study.name or "-".join(self._short_names())

    def _short_names(self) -> list[str]:
        return list(short_names([axis.key for axis in self.space.axes], all_keys()).values())

    def _base(self) -> DictConfig:
        """The configuration that the trials share, with the first possible configuration of the space checked."""
        cfg = OmegaConf.masked_copy(self.question.master, [k for k in self.question.master if k != "hydra"])
        if not self.space.is_finite:
            return cfg
        reasons = []
        for params in islice(self.space.configurations(), 100):
            reason = self.refusal(params)
            if reason is None:
                return cfg
            reasons.append(reason)
        if reasons and self._all_refused():
            raise ConfigError(f"No configuration of this space can be trained. The first one: {reasons[0]}")
        return cfg

    def _all_refused(self) -> bool:
        return all(self.refusal(params) is not None for params in self.space.configurations())

    def sweep(self) -> Sweep:
        cfg = self.base
        folder = Path(cfg.storage.path or "mlruns/studies").absolute()
        name = sweep_name(folder, self.study, sweep_hash(self._definition()), cfg.study.fresh)
        journal = folder / f"{name}.journal"
        with sweep_lock(journal):
            mend_journal(journal)
            study = open_study(journal, name, self.directions)
        study.pruner = build_pruner(cfg.pruner)
        return Sweep(name, study, self.space, journal, self._total(), cfg.sampler, cfg.budget, self.refusal)

    def _definition(self) -> dict[str, Any]:
        groups = OmegaConf.to_container(OmegaConf.masked_copy(self.base, list(RUN_GROUPS)), resolve=False)
        assert isinstance(groups, dict)
        swept = {axis.key for axis in self.space.axes}
        objective = OmegaConf.to_container(self.base.objective)
        return {"groups": _without(groups, swept), "space": self.space.canonical(), "objective": objective}

    def _total(self) -> int:
        trials = self.base.study.trials
        if self.base.sampler.name != "grid":
            return int(trials or DEFAULT_TRIALS)
        possible = sum(self.refusal(params) is None for params in self.space.configurations())
        return min(trials or possible, possible)

    def left_out(self) -> list[tuple[Params, str]]:
        """The impossible configurations of a grid, each with its reason."""
        if self.base.sampler.name != "grid":
            return []
        reasons = ((params, self.refusal(params)) for params in self.space.configurations())
        return [(params, reason) for params, reason in reasons if reason is not None]

    def refusal(self, params: Mapping[str, Any]) -> str | None:
        """Why a configuration cannot be trained, None where it can."""
        key = str(sorted(params.items(), key=str))
        if key not in self._refusals:
            try:
                cfg = self.composer.compose(dict(params))
                check(cfg)
                self._check_shape(cfg)
                self._refusals[key] = None
            except ConfigError as error:
                self._refusals[key] = str(error)
        return self._refusals[key]

    def _check_shape(self, cfg: DictConfig) -> None:
        data_key = OmegaConf.to_yaml(cfg.data, resolve=True)
        if data_key not in self._shapes:
            self._shapes[data_key] = read_data(cfg)
        elif cfg.model.architecture != "custom":
            check_shape(cfg.model, self._shapes[data_key].input_shape)


def _without(node: Any, swept: set[str], prefix: str = "") -> Any:
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if f"{prefix}{key}" not in swept}
    return {key: _without(value, swept, f"{prefix}{key}.") for key, value in kept.items()}

"""What follows from a question before anything is recorded: the sweep's name, its size, what it refuses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config import check
from kerasweep.config.check import check_shared
from kerasweep.config.keys import RUN_GROUPS, all_keys
from kerasweep.data.prepare import Prepared, load_prepared
from kerasweep.errors import ConfigError, DataError, StorageError
from kerasweep.multirun.claim_notes import claim_notes
from kerasweep.multirun.composer import Composer, without_hydra
from kerasweep.multirun.constraints import Constraints
from kerasweep.multirun.question import Question
from kerasweep.search.pruners import build_pruner, hears
from kerasweep.search.samplers import check_sampler
from kerasweep.search.study import begun_with, check_digest, open_study, sweep_hash, sweep_lock, sweep_name
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Axis, Params, Value
from kerasweep.tracking.tags import short_names
from kerasweep.trial.network import graph_of, parameters_of
from kerasweep.trial.run import check_images

DEFAULT_TRIALS = 20
LONGEST_NAME = 60


class Plan:
    """A question made ready: the configuration its trials share, and the sweep that answers it.

    Raises ConfigError where the sampler does not suit the space, or no configuration is possible;
    DataError where the data cannot be read.
    """

    def __init__(self, question: Question, composer: Composer) -> None:
        self.question = question
        self.composer = composer
        self.space = question.space
        self._is_listed = self.space.is_finite  # an endless space is not asked for twice
        self._refusals: dict[str, str | None] = {}
        self._graphs: dict[str, str | None] = {}
        self.constraints = Constraints(question, composer)
        self.base = self._base()
        self.data = self._data()
        directions = [objective.direction for objective in self.base.objective]
        check_sampler(self.base.sampler, self.space, len(directions))
        self.directions = directions
        self.study = self.base.study.name or self._name()

    def short_names(self) -> dict[str, str]:
        """Of each axis its tag."""
        return short_names([axis.key for axis in self.space.axes], all_keys())

    def _name(self) -> str:
        """As many of the axes' short names as a file's name can bear; the hash tells sweeps apart."""
        text = "-".join(self.short_names().values())
        if len(text) > LONGEST_NAME:
            text = text[: LONGEST_NAME + 1].rpartition("-")[0] or text[:LONGEST_NAME]
        return text or "sweep"

    def _base(self) -> DictConfig:
        """What the trials share, once one configuration of the space is known to be possible."""
        check_shared(self.question.master)
        for axis in self.space.axes:
            if not axis.is_group:
                self._check_values(axis)
        self.constraints.check_types()
        if self._is_listed:
            self._check_some_possible()
        return without_hydra(self.question.master)

    def _data(self) -> Prepared | None:
        """The data that all trials share, None where it is swept."""
        return None if self._sweeps_data() else self.data_of(self.base)

    def _sweeps_data(self) -> bool:
        return any(axis.key.lstrip("+").partition(".")[0] == "data" for axis in self.space.axes)

    def _check_values(self, axis: Axis) -> None:
        """Raise ConfigError for a value that no choice of groups has a place for, such as a misspelt key."""
        for value in axis.ends():
            error = self._misfit(axis, value)
            if error is None:
                continue
            if axis.whole_interval and self._misfit(axis, int(float(str(value)))) is None:
                raise ConfigError(
                    f"{axis.key} takes whole numbers, but its interval is one of real numbers. "
                    f"Write it as {axis.key}='{axis.whole_interval}'."
                )
            raise error

    def _misfit(self, axis: Axis, value: Value) -> ConfigError | None:
        """Why no choice of groups has a place for a value, None where one has."""
        error = None
        for groups in self.space.group_choices():
            try:
                self.composer.compose({**groups, axis.key: value})
                return None
            except ConfigError as refused:
                error = refused
        return error

    def _check_some_possible(self) -> None:
        first = None
        for params in self.space.configurations():
            reason = self.refusal(params)
            if reason is None:
                return
            first = first or reason
        raise ConfigError(f"No configuration of this space can be trained. The first one: {first}")

    def _journal(self, fresh: bool) -> tuple[str, Path]:
        """The sweep's name and its file; fresh: those of the next generation."""
        folder = Path(self.base.storage.path or "mlruns/studies").absolute()
        name = sweep_name(folder, self.study, sweep_hash(self._definition()), fresh)
        return name, folder / f"{name}.journal"

    def is_new(self, fresh: bool) -> bool:
        """Whether nothing of the sweep has been written yet."""
        return not self._journal(fresh)[1].exists()

    def sweep(self, fresh: bool) -> Sweep:
        """Open the newest generation of the sweep; fresh: begin the next one."""
        cfg = self.base
        name, journal = self._journal(fresh)
        try:
            with sweep_lock(journal):
                study = open_study(journal, name, self.directions)
                if self.data is not None:
                    check_digest(study, self.data.digest)
                begun = begun_with(study, self._choices())
        except OSError as error:
            raise StorageError(
                f"The sweep's journal cannot be written: {error.strerror or error}: "
                f"{error.filename or journal}. Name a folder that can be written with storage.path, "
                "or free some space."
            ) from error
        study.pruner = build_pruner(cfg.pruner, cfg.training.epochs)
        return Sweep(
            name,
            study,
            self.space,
            journal,
            self.total(),
            cfg.sampler,
            cfg.budget,
            self.refusal,
            repeats=cfg.study.repeats,
            pruner_hears=hears(cfg.pruner.name),
            keeps_checkpoints=bool(cfg.training.checkpoint.enabled),
            graph_of=self.graph_of,
            notes=(*self.notes(), *_changed(begun, self._choices())),
        )

    def _choices(self) -> dict[str, str]:
        """What may change on the way, and decides which trials there are."""
        return {"sampler": self.base.sampler.name, "pruner": self.base.pruner.name}

    def notes(self) -> tuple[str, ...]:
        """What the user should know before the sweep starts, and may leave as it is."""
        return tuple(claim_notes(self.base, self.space))

    def _definition(self) -> dict[str, Any]:
        groups = OmegaConf.to_container(OmegaConf.masked_copy(self.base, list(RUN_GROUPS)), resolve=False)
        assert isinstance(groups, dict)
        swept = {axis.key for axis in self.space.axes}
        objective = OmegaConf.to_container(self.base.objective)
        return {
            "groups": _without(groups, swept),
            "below": self._fixed_below_groups(),
            "space": self.space.canonical(),
            "objective": objective,
            **({"constraints": self.constraints.texts} if self.constraints.texts else {}),
            **({"repeats": self.base.study.repeats} if self.base.study.repeats != 1 else {}),
        }

    def _fixed_below_groups(self) -> list[str]:
        """The overrides that hold below a swept group, whose own content is no part of the definition."""
        prefixes = tuple(f"{axis.key}." for axis in self.space.axes if axis.is_group)
        return sorted(line for line in self.question.fixed if line.lstrip("+").startswith(prefixes))

    def total(self) -> int:
        """How many trials there are to be in the end."""
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
        """Why a configuration cannot be trained, None where it can.

        Raises DataError where the data cannot be read that all trials share.
        """
        if not self._is_listed:
            return self._reason(dict(params))
        key = _key(params)
        if key not in self._refusals:
            self._refusals[key] = self._reason(dict(params))
        return self._refusals[key]

    def graph_of(self, params: Params) -> str | None:
        """What the configurations of a grid share that one worker trains without another trace."""
        return self._graphs.get(_key(params))

    def _reason(self, params: Params) -> str | None:
        try:
            return self._judge(params)
        except ConfigError as error:
            return str(error)
        except DataError as error:
            if not self._sweeps_data():
                raise
            return str(error)

    def _judge(self, params: Params) -> str | None:
        """What forbids a configuration, None where nothing does. Raises ConfigError for a broken rule."""
        cfg = self.composer.compose(params)
        broken = self.constraints.broken(cfg, params)
        if broken is not None:
            return f"study.constraints forbids it: {broken}"
        check(cfg)
        prepared = self.data_of(cfg)
        check_images(cfg, prepared)
        if self._is_listed:
            self._graphs[_key(params)] = graph_of(cfg, prepared)
        most = cfg.budget.max_parameters
        if most is None:
            return None
        try:
            count = parameters_of(cfg, prepared)
        except Exception as error:  # a user's own network may raise anything
            return f"it cannot be built: {type(error).__name__}: {error}"
        return None if count <= most else f"it has {count:,} parameters, budget.max_parameters is {most:,}"

    def data_of(self, cfg: DictConfig) -> Prepared:
        """The data of a configuration, read once, or again where more of them are swept than are kept."""
        return load_prepared(cfg.data)


def _changed(begun: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """A sentence where something is chosen otherwise than when the sweep was begun."""
    others = [key for key in now if begun.get(key, now[key]) != now[key]]
    if not others:
        return []
    was, is_now = (" ".join(f"{key}={each[key]}" for key in others) for each in (begun, now))
    return [f"this sweep was begun with {was}; its trials stay. study.fresh=true begins one with {is_now}"]


def _key(params: Mapping[str, Any]) -> str:
    return str(sorted(params.items(), key=str))


def _without(node: Any, swept: set[str], prefix: str = "") -> Any:
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if f"{prefix}{key}" not in swept}
    return {key: _without(value, swept, f"{prefix}{key}.") for key, value in kept.items()}

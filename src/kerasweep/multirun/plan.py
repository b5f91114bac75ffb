"""Plans a sweep before anything is recorded: the shared configuration, the data, the size, the study."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from omegaconf import DictConfig

from kerasweep.config.schemas import REPEATED_KEYS, run_keys
from kerasweep.data.sources import WITH_TEST_SET
from kerasweep.errors import StorageError, disk_advice
from kerasweep.multirun.claim_check import check_claim, claim_notes
from kerasweep.multirun.code_digests import code_digests, digests_by_target
from kerasweep.multirun.composer import Composer, without_hydra
from kerasweep.multirun.definition import name_in_any_order, sweep_definition
from kerasweep.multirun.question import Question
from kerasweep.multirun.refusals import Refusals
from kerasweep.multirun.settings_digests import settings_digests
from kerasweep.multirun.sweep_data import SweepData
from kerasweep.search.arms import ArmPruner, Arms
from kerasweep.search.open_storage import open_storage
from kerasweep.search.pruners import build_pruner, pruner_input
from kerasweep.search.storage import under_lock
from kerasweep.search.study import (
    BEGUN_WITH,
    check_and_save_digests,
    check_and_save_settings,
    check_and_save_sources,
    distributions_of,
    has_same_inputs,
    save_first_choices,
    sweep_hash,
    sweep_name,
)
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.space.space import Signature, Space
from kerasweep.tracking.tags import short_names

DEFAULT_TRIALS = 20
# Of a larger grid only as many configurations are checked before the start as its trials need.
MAX_CHECKED = 200
DEFAULT_JOBS = "mlruns/jobs"
SPLIT_KEYS = REPEATED_KEYS[1:]
OWN_VALIDATION = (
    "the data comes with its own validation images: all repeats validate on these, so differences and "
    "verdicts are about these images"
)
OTHER_TEST_IMAGES = (
    "unless the data has a test set of its own, data.seed draws other test images, too, and those of the "
    "winner may have helped to choose it; data.split_seed draws other validation images alone"
)
# The end of the name of a sweep that tunes nuisance axes.
TUNING_SUFFIX = "-tuning"
# Among the first choices of a sweep unless an older version began it.
SCORE, HALVES = "score", "halves"
# Among the first choices of a comparison with nuisance axes.
TUNED_BY = "tuning"
OLDER = (
    "an older version began this sweep: it goes on as it began, with the best epoch's value of each run, and "
    "with one split for all seeds. study.fresh=true begins one with cross-fitted values and resampled splits"
)


@dataclass(frozen=True)
class TunedBy:
    """The sweep that tuned the nuisance axes of a comparison."""

    sweep: str
    notes: tuple[str, ...]  # for the user, such as on values at a border
    untuned: int = 0  # combinations without a complete trial in each tuning, which are not compared
    hours: float = 0.0  # of the budget, which the tuning has used


class Plan:
    """A checked question with its data and refusals. Build it with `make_plan` in multirun/make_plan.py.

    Args:
        question: The study, its axes and what stays fixed.
        composer: Composes the configuration of a trial.
        refusals: Says which configurations cannot be trained.
        base: The configuration that the trials share.
        data: The data of the trials.
        space: The axes of this sweep, nuisance axes among them once they are tuned.
        arms: The arms whose nuisance axes this sweep tunes, None for a comparison.
        refused: The combinations that cannot be tuned, with their reasons.
        tuned_by: The sweep that tuned the nuisance axes, None without any.
        by_repeat: See `Sweep.by_repeat`.
    """

    def __init__(
        self,
        question: Question,
        composer: Composer,
        refusals: Refusals,
        base: DictConfig,
        data: SweepData,
        space: Space,
        arms: Arms | None = None,
        refused: Sequence[tuple[Params, str]] = (),
        tuned_by: TunedBy | None = None,
        by_repeat: Mapping[Signature, tuple[Params, ...]] = MappingProxyType({}),
    ) -> None:
        self.question = question
        self.composer = composer
        self.refusals = refusals
        self.base = base
        self.data = data
        self.space = space
        self.arms = arms
        self.refused = refused
        self.tuned_by = tuned_by
        self.by_repeat = by_repeat
        self.directions = [objective.direction for objective in base.objective]
        self.storage = open_storage(base.storage)
        self.refusal = refusals.reason
        self.graph_of = refusals.graph
        self.data_of = refusals.data_of

    @cached_property
    def study(self) -> str:
        """The study's name, made from the axes where the user gave none.

        The same axes in another order have the name under which their sweep began.
        """
        if self.base.study.name:
            return str(self.base.study.name)
        names = list(self.compared_names().values())
        return name_in_any_order(self.storage.names(), names, self.hash_of(self.question.space))

    def short_names(self) -> dict[str, str]:
        """Returns the MLflow tag of each axis by its key."""
        return short_names([axis.key for axis in self.space.axes], run_keys())

    def compared_names(self) -> dict[str, str]:
        """Returns the MLflow tag of each axis that is compared, by its key."""
        names = short_names([axis.key for axis in self.question.searched.axes], run_keys())
        return {axis.key: names[axis.key] for axis in self.question.space.axes}

    def notes(self) -> tuple[str, ...]:
        """Returns warnings for the user that do not stop the sweep."""
        varies = self._wants_resampling() or any(axis.name in SPLIT_KEYS for axis in self.space.axes)
        on_images = [OWN_VALIDATION] if varies and self.data.has_own_validation else []
        draws_test = (
            any(axis.name == "data.seed" for axis in self.space.axes)
            and self.base.data.source not in WITH_TEST_SET
        )
        return (
            *self.question.notes,
            *self.refusals.constraints.notes,
            *claim_notes(self.base, self.space),
            *on_images,
            *([OTHER_TEST_IMAGES] if draws_test else []),
        )

    def _wants_resampling(self) -> bool:
        """Whether repeats have splits of their own. A tuning always has: its images are not compared."""
        study = self.base.study
        return self.arms is not None or bool(study.repeats > 1 and study.splits == "resampled")

    def check_claim(self) -> None:
        """Raises ConfigError for a claim that this sweep's runs could never decide."""
        names = self.compared_names()
        tuned = {axis.name for axis in self.question.nuisance.axes}
        check_claim(self.base, self.refusals, self.space, self.short_names(), list(names.values()), tuned)

    def total(self) -> int:
        """Returns how many trials the finished sweep has."""
        if self.arms is not None:
            return sum(self.arms.trials)
        trials = self.base.study.trials
        if self.base.sampler.name != "grid":
            return int(trials or DEFAULT_TRIALS)
        possible = sum(reason is None for _, reason in self._checked)
        return min(trials or possible, possible)

    def left_out(self) -> list[tuple[Params, str]]:
        """Returns the impossible configurations of a grid, each with its reason.

        None of a large grid of which `total` has not checked all.
        """
        if self.arms is not None:
            return list(self.refused)
        if self.base.sampler.name != "grid" or not self._checks_all:
            return []
        return [(params, reason) for params, reason in self._checked if reason is not None]

    @property
    def _checks_all(self) -> bool:
        return self.base.study.trials is None or self.space.max_size <= MAX_CHECKED

    @cached_property
    def _checked(self) -> list[tuple[Params, str | None]]:
        """A grid's configurations with their reasons: of a large one as many as its trials need."""
        checked, trials = [], math.inf if self._checks_all else self.base.study.trials
        for params, reason in self.refusals.checked(self.space):
            checked.append((params, reason))
            trials -= reason is None
            if trials == 0:
                break
        return checked

    def is_new(self, fresh: bool) -> bool:
        """Returns whether the sweep has no study yet; with `fresh`, its next generation."""
        return self.name(fresh) not in self.storage.names()

    def is_begun(self) -> bool:
        """Returns whether the newest study has trials of this comparison, with these tuned values."""
        name = self.name(fresh=False)
        if name not in self.storage.names():
            return False
        begun = self.storage.open(name, self.directions).user_attrs.get(BEGUN_WITH, {})
        return bool(begun.get(TUNED_BY) == self._choices().get(TUNED_BY))

    def open_sweep(self, fresh: bool) -> Sweep:
        """Opens or creates the study of the newest generation; fresh: begins the next one.

        Raises:
            StorageError: The study cannot be written.
        """
        cfg, storage = self.base, self.storage
        name = self.name(fresh)
        try:
            study, begun = under_lock(partial(storage.lock, name), partial(self._open_study, name))
        except OSError as error:
            raise StorageError(
                f"The sweep's storage cannot be written: {error.strerror or error}: "
                f"{error.filename or storage.folder}. Name another folder with storage.path, "
                f"or {disk_advice(error)}."
            ) from error
        if begun.get(TUNED_BY) != self._choices().get(TUNED_BY):  # other tuned values were compared
            # Under the lock: another driver may begin the next generation meanwhile.
            return under_lock(partial(storage.lock, name), partial(self._open_next, name))
        is_older = SCORE not in begun
        pruner = build_pruner(cfg.pruner, cfg.training.epochs)
        study.pruner = ArmPruner(pruner, self.arms) if self.arms is not None else pruner
        return Sweep(
            name,
            study,
            self.space.as_recorded(distributions_of(study)),
            storage,
            Path(DEFAULT_JOBS, name).absolute(),
            self.total(),
            cfg.sampler,
            cfg.budget,
            self.refusal,
            repeats=cfg.study.repeats,
            resamples=self._wants_resampling() and not self.data.has_own_validation and not is_older,
            is_cross_fitted=not is_older,
            draws_odd=HALVES in begun,
            code=digests_by_target(cfg, self.space, self.composer),
            data_digests=self.data.digests,
            arms=self.arms,
            tuned=frozenset(axis.key for axis in self.question.nuisance.axes if self.tuned_by is not None),
            by_repeat=self.by_repeat,
            hours_before=self.tuned_by.hours if self.tuned_by is not None else 0.0,
            pruner_input=pruner_input(cfg.pruner.name),
            keeps_checkpoints=bool(cfg.training.checkpoint.enabled),
            graph_of=self.graph_of,
            notes=(*self.notes(), *_changed(begun, self._choices()), *([OLDER] if is_older else [])),
        )

    def _open_next(self, name: str) -> Sweep:
        """Begins the generation after this one, unless it has begun."""
        return self.open_sweep(fresh=self.name(fresh=False) == name)

    def _open_study(self, name: str) -> tuple[Any, Mapping[str, str]]:
        """Returns a study with its first choices, and checks that data, code and settings are the same."""
        study = self.storage.open(name, self.directions)
        begun = save_first_choices(study, self._choices())
        if begun.get(TUNED_BY) == self._choices().get(TUNED_BY):
            older = partial(code_digests, self.base, self.space, self.composer, is_older=True)
            check_and_save_digests(study, self.data.saved)
            check_and_save_sources(study, self.sources, older)
            check_and_save_settings(study, self._settings)
        return study, begun

    @property
    def inputs(self) -> str:
        """A digest of what two trials of one name must have in common."""
        choices = {name: text for name, text in self._choices().items() if name not in ("sampler", "pruner")}
        return sweep_hash(
            {
                "data": dict(self.data.saved),
                "sources": dict(self.sources),
                "settings": self._settings,
                "choices": choices,
            }
        )

    @cached_property
    def _settings(self) -> dict[str, str]:
        return settings_digests(self.base, self.space, self.composer)

    @cached_property
    def sources(self) -> Mapping[str, str]:
        """The digests of the user's code, see `code_digests`."""
        return code_digests(self.base, self.space, self.composer)

    def name(self, fresh: bool) -> str:
        """Returns the name of the sweep's newest generation; fresh: that of the next one."""
        study = self.study if self.arms is None else f"{self.study}{TUNING_SUFFIX}"
        return sweep_name(self.storage.names(), study, self.hash_of(self.question.space), fresh)

    def has_same_inputs(self, study: Any) -> bool:
        """Returns whether the trials of another study have the data, code and settings of this plan."""
        begun, now = study.user_attrs.get(BEGUN_WITH, {}), self._choices()
        is_same_score = all(begun.get(name) == now[name] for name in (SCORE, HALVES))
        return is_same_score and has_same_inputs(study, self.data.saved, self.sources, self._settings)

    def hash_of(self, space: Space) -> str:
        """Returns the hash of the sweep with the values of this space, which has the axes of the plan's."""
        return sweep_hash(self._definition | {"space": space.canonical()})

    @cached_property
    def _definition(self) -> dict[str, Any]:
        question, master = self.question, without_hydra(self.question.master)
        tunings = {}
        if self.arms is not None:  # that of one repeat has one seed and a split of its own, whatever follows
            tunings = {"tunings": len(self.arms.listed) // len(self.arms.by_combination([]))}
            master.study.repeats = 1
        constraints = self.refusals.constraints.texts
        definition = sweep_definition(master, question.space, question.fixed, constraints, question.nuisance)
        return definition | tunings

    def _choices(self) -> dict[str, str]:
        """Returns the options that may change while the sweep runs, and that decide which trials it has."""
        names = {group: _chosen(group, self.base[group]) for group in ("sampler", "pruner")}
        tuning = {}
        if self.tuned_by is not None:
            values = sweep_hash({str(arm): configurations for arm, configurations in self.by_repeat.items()})
            tuning[TUNED_BY] = f"{self.tuned_by.sweep} {values}"
        return {**names, SCORE: "cross-fitted", HALVES: "odd images drawn", **tuning}


def _chosen(group: str, cfg: DictConfig) -> str:
    """Returns a sampler's or pruner's name, with its target if it is the user's."""
    return f"{cfg.name} {group}.target={cfg.target}" if cfg.name == "custom" else str(cfg.name)


def _changed(begun: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns a sentence on the options that differ from the sweep's first start, none if all are equal."""
    changed = [key for key in now if begun.get(key, now[key]) != now[key]]
    if not changed:
        return []
    was, is_now = (" ".join(f"{key}={chosen[key]}" for key in changed) for chosen in (begun, now))
    return [f"this sweep was begun with {was}; its trials stay. study.fresh=true begins one with {is_now}"]

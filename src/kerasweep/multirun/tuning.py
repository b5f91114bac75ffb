"""Plans the two sweeps of a study with nuisance axes: each combination's tunings, then their comparison.

At one learning rate, "batch 16 beats 256" is a statement about that rate; with each combination at its own
best rate it is one about batch sizes. Each repeat of the comparison has a tuning of its own, so that
intervals include the luck of the tuning: Bouthillier et al. (2021), Accounting for variance in machine
learning benchmarks, https://arxiv.org/abs/2103.03098
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.schemas import REPEATED_KEYS
from kerasweep.config.search import PrunerConf, SamplerConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.composer import copy_of
from kerasweep.multirun.nuisance_check import check_nuisance
from kerasweep.multirun.plan import Plan, TunedBy
from kerasweep.multirun.refusals import Refusals
from kerasweep.search.arms import Arms
from kerasweep.search.propose import MAX_DRAWS
from kerasweep.search.pruners import PrunerInput, pruner_input
from kerasweep.search.samplers import check_sampler, drawn
from kerasweep.space.axis import MAX_LISTABLE, Axis
from kerasweep.space.parse import axis_of_entry
from kerasweep.space.rows import Params
from kerasweep.space.space import ListedSpace, Space, signature

DEFAULT_TUNING_TRIALS, MAX_EQUAL = 10, 20
MIN_RANDOM = 4  # after one or two trials TPE stays beside them
# Added to the seeds of tunings, so that the comparison has seeds and splits of its own.
TUNING_SEED = 1_000_000
MAX_SEED = 2**32
SEED = REPEATED_KEYS[0]
ONCE = (
    "each combination was tuned once: intervals and verdicts are about the tuned values, and leave out the "
    "luck of the tuning. study.tuning=repeated includes it"
)
TUNED_ON_SAME_IMAGES = (
    "the nuisance values were tuned on the validation images of the comparison, since the data comes with "
    "these: a combination with more nuisance values gains from it"
)


def tuning_plan(plan: Plan) -> Plan:
    """Returns the plan of the sweep that tunes the nuisance axes of every combination.

    Raises:
        ConfigError: Combinations cannot be listed, the sampler does not suit, or an option has no meaning.
    """
    question, base = plan.question, copy_of(plan.base)
    check_nuisance(plan)
    possible, refused = _combinations(plan)
    if not possible:
        raise ConfigError(f"No combination of study.space can be trained. The first one: {refused[0][1]}")
    combinations = [combination for combination, _ in possible]
    trials, is_grid = _trials_of(plan, combinations)
    check_sampler(base.sampler, question.nuisance, 1)
    if is_grid:
        base.sampler = _grid(base)
    elif "n_startup_trials" in base.sampler:  # with the usual ten, ten trials would all be random
        most = max(MIN_RANDOM, max(trials) // 2)
        base.sampler.n_startup_trials = min(base.sampler.n_startup_trials, most)
    seeds = _seed_axis(base)
    base.study.repeats, base.study.claim = 1, None
    if pruner_input(base.pruner.name) is PrunerInput.REPEATS:
        base.pruner = OmegaConf.structured(PrunerConf("none"))
    numbers = seeds.values() or []
    arms = Arms(
        _compared(plan) | {SEED},
        tuple({**combination, SEED: seed} for combination in combinations for seed in numbers),
        tuple(count for count in trials for _ in numbers),
    )
    space = replace(question.searched, axes=(*question.searched.axes, seeds))
    return Plan(question, plan.composer, plan.refusals, base, plan.data, space, arms, tuple(refused))


def _seed_axis(base: DictConfig) -> Axis:
    """Returns the axis that tells the tunings of a combination apart, with a seed for each."""
    tunings = base.study.repeats if base.study.tuning == "repeated" else 1
    first = (base.training.seed + TUNING_SEED) % (MAX_SEED - TUNING_SEED)
    return axis_of_entry(SEED, f"range({first},{first + tunings})", lambda key: [])


def tuned_combinations(tuning: Plan, best: Sequence[Params]) -> list[list[Params]]:
    """Returns the configurations of each combination that is compared, one for each of its tunings.

    Args:
        tuning: The plan of the tuning.
        best: The best configuration of each arm that has one. Without one in each tuning, a combination is
            not compared.
    """
    assert tuning.arms is not None
    tuned = zip(tuning.arms.by_combination(best), tuning.arms.by_combination(tuning.arms.listed), strict=True)
    return [
        [{key: value for key, value in params.items() if key != SEED} for params in configurations]
        for (_, configurations), (_, tunings) in tuned
        if len(configurations) == len(tunings)
    ]


def tuning_notes(plan: Plan) -> list[str]:
    """Returns sentences on what the intervals of a comparison with tuned nuisance values leave out."""
    notes = []
    if plan.base.study.tuning == "once" and plan.base.study.repeats > 1:
        notes.append(ONCE)
    if plan.data.has_own_validation:
        notes.append(TUNED_ON_SAME_IMAGES)
    return notes


def comparison_plan(
    plan: Plan, combinations: Sequence[Sequence[Params]], tuned_by: TunedBy | None = None
) -> Plan:
    """Returns the plan of the sweep that compares the combinations.

    Args:
        plan: The plan of the whole study.
        combinations: The configurations of each, by repeat; they start again after the last.
        tuned_by: The sweep that tuned them, None before it has ended.
    """
    searched, base = plan.question.searched, copy_of(plan.base)
    first = tuple(configurations[0] for configurations in combinations)
    space = ListedSpace(searched.axes, searched.fixed, searched.joint, first)
    by_repeat = {signature(configurations[0]): tuple(configurations) for configurations in combinations}
    base.sampler = _grid(base)
    if pruner_input(base.pruner.name) is not PrunerInput.REPEATS:  # epochs were compared while tuning
        base.pruner = OmegaConf.structured(PrunerConf("none"))
    refusals = Refusals(space, plan.composer, plan.refusals.constraints)
    return Plan(
        plan.question,
        plan.composer,
        refusals,
        base,
        plan.data,
        space,
        tuned_by=tuned_by,
        by_repeat=by_repeat,
    )


def examples(plan: Plan) -> list[tuple[Params]]:
    """Returns a possible configuration of each combination, for what does not depend on nuisance values."""
    possible, _ = _combinations(plan)
    return [(example,) for _, example in possible]


def _trials_of(plan: Plan, combinations: Sequence[Params]) -> tuple[tuple[int, ...], bool]:
    """Returns how many trials a tuning of each combination gets, and whether these are all that there are."""
    asked, is_grid = plan.base.study.nuisance_trials, plan.base.sampler.name == "grid"
    limit = None if is_grid else int(asked or DEFAULT_TUNING_TRIALS)
    sizes = [_size(plan, combination, limit) for combination in combinations]
    most = limit or max(sizes)
    if math.isinf(most):
        raise ConfigError(
            "sampler=grid tries every combination of study.nuisance, but these cannot be listed: it has an "
            f"interval, or more than {MAX_LISTABLE:,} combinations. Choose another sampler, as in "
            "sampler=tpe."
        )
    if is_grid and asked is not None and asked < most:
        raise ConfigError(
            f"sampler=grid tries every combination of study.nuisance, but there are {most} and "
            f"study.nuisance_trials={asked}. Choose another sampler, as in sampler=tpe."
        )
    trials = tuple(int(min(size, most)) for size in sizes)
    return trials, list(trials) == sizes


def _size(plan: Plan, combination: Params, limit: int | None) -> float:
    """Returns how many nuisance values of a combination can be trained, infinite in an infinite space.

    Beyond the limit they are not counted: to check each takes time.
    """
    nuisance = _nuisance_of(plan, combination)
    if not nuisance.is_finite:
        return math.inf
    possible = (plan.refusal({**combination, **params}) is None for params in nuisance.configurations())
    return sum(1 for _ in islice(filter(None, possible), None if limit is None else limit + 1))


def _compared(plan: Plan) -> frozenset[str]:
    return frozenset(axis.key for axis in plan.question.space.axes)


def _nuisance_of(plan: Plan, combination: Params) -> Space:
    return plan.question.searched.within(_compared(plan), combination)


def _grid(base: DictConfig) -> DictConfig:
    cfg: DictConfig = OmegaConf.structured(SamplerConf("grid", int(base.sampler.seed)))
    return cfg


def _combinations(plan: Plan) -> tuple[list[tuple[Params, Params]], list[tuple[Params, str]]]:
    """Returns the combinations that can be trained, with an example, and the others with their reasons."""
    possible, refused = [], []
    for combination in plan.question.space.configurations():
        example = _example(plan, combination)
        if isinstance(example, str):
            refused.append((combination, example))
        else:
            possible.append((combination, example))
    return possible, refused


def _example(plan: Plan, combination: Params) -> Params | str:
    """Returns a configuration of the combination that can be trained, or why there is none."""
    reasons: dict[str, None] = {}
    nuisance = _nuisance_of(plan, combination)
    for count, params in enumerate(_completions(nuisance, plan.base.sampler.seed)):
        refused = plan.refusal({**combination, **params})
        if refused is None:
            return {**combination, **params}
        reasons[refused] = None
        # Without constraints one reason seems to hold for a whole interval, and each draw takes time.
        is_hopeless = count > MAX_EQUAL and len(reasons) == 1 and not plan.refusals.constraints.texts
        if is_hopeless and not nuisance.is_finite:
            break
    return next(iter(reasons))


def _completions(nuisance: Space, seed: int) -> Iterator[Params]:
    """Yields all nuisance values of a combination, or some random ones of an infinite space."""
    return nuisance.configurations() if nuisance.is_finite else islice(drawn(nuisance, seed), MAX_DRAWS)

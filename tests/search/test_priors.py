"""Random draws follow the prior inside the range; TPE draws its start-up trials so, then searches alone."""

import math
import statistics
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from kerasweep.errors import ConfigError
from kerasweep.results import Outcome
from kerasweep.search.samplers import check_sampler, drawn
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Axis
from kerasweep.space.prior import Prior
from kerasweep.space.rows import Params
from kerasweep.space.space import Space
from tests.searches import SAMPLERS, make_numbers

Search = Callable[..., tuple[str, list[Params]]]
COUNT = 400
RATE = {"range": "tag(log,interval(1e-5,1.0))", "prior": "normal(1e-3, 0.3)"}


def draws(distribution: BaseDistribution, prior: Prior, seed: int = 0) -> list[float]:
    space = Space((Axis("x", distribution, prior=prior),), {}.get)
    return [float(str(params["x"])) for params in islice(drawn(space, seed), COUNT)]


def mean_and_deviation(low: float, high: float, prior: Prior) -> tuple[float, float]:
    """Returns those of a normal density between two ends, by a sum over a fine grid."""
    middles = low + (high - low) * (np.arange(100_000) + 0.5) / 100_000
    density = np.exp(-0.5 * ((middles - prior.center) / prior.spread) ** 2)
    mean = float(np.average(middles, weights=density))
    return mean, float(np.sqrt(np.average((middles - mean) ** 2, weights=density)))


@settings(max_examples=15, deadline=None)
@given(
    low=st.floats(-5, 0),
    width=st.floats(0.5, 5),
    place=st.floats(0, 1),
    spread=st.floats(0.1, 5),
    is_log=st.booleans(),
)
def test_draws_lie_inside_the_range_and_have_the_mean_of_the_prior(
    low: float, width: float, place: float, spread: float, is_log: bool
) -> None:
    """A logarithmic range is the same in exponents of ten."""
    high, center = low + width, low + place * width
    prior, ends = Prior(center, spread), (low, high)
    if is_log:
        ends, prior = (10**low, 10**high), Prior(min(max(10**center, 10**low), 10**high), spread)
    values = draws(FloatDistribution(*ends, log=is_log), prior)
    assert all(ends[0] <= value <= ends[1] for value in values)
    exponents = [math.log10(value) for value in values] if is_log else values
    mean, deviation = mean_and_deviation(low, high, Prior(center, spread))
    assert abs(statistics.mean(exponents) - mean) < 5 * deviation / math.sqrt(COUNT) + 1e-6


@pytest.mark.parametrize(
    ("distribution", "prior", "allowed"),
    [
        (IntDistribution(8, 64, step=8), Prior(32, 8), set(range(8, 65, 8))),
        (IntDistribution(1, 128, log=True), Prior(16, 0.2), set(range(1, 129))),
        (FloatDistribution(0, 0.5, step=0.1), Prior(0.1, 0.1), {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}),
    ],
)
def test_draws_are_values_of_the_axis(
    distribution: BaseDistribution, prior: Prior, allowed: set[float]
) -> None:
    values = draws(distribution, prior)
    assert set(values) <= allowed and len(set(values)) > 4
    assert statistics.median(values) == pytest.approx(prior.center, rel=0.15)


def test_an_axis_without_a_prior_is_drawn_evenly() -> None:
    space = make_numbers({"rate": RATE, "momentum": "interval(0.0,1.0)"})
    values = [float(str(params["momentum"])) for params in islice(drawn(space, 0), COUNT)]
    assert 0.45 < statistics.mean(values) < 0.55 and max(values) > 0.98 and min(values) < 0.02


def trained_rates(sampler: str, trials: int, sweep_of: Callable[..., Sweep], search: Search) -> list[float]:
    """Returns the exponents of the rates of a sweep whose best rate is 0.1, two decades from the prior."""

    def near_a_tenth(params: Mapping[str, Any]) -> Outcome:
        return Outcome("complete", "run", values=(-abs(math.log10(params["rate"]) + 1),))

    _, trained = search(sweep_of({"rate": RATE}, total=trials, sampler=sampler), near_a_tenth)
    return [math.log10(float(str(params["rate"]))) for params in trained]


def test_all_draws_of_random_come_from_the_prior(sweep_of: Callable[..., Sweep], search: Search) -> None:
    exponents = trained_rates("random", 30, sweep_of, search)
    assert statistics.mean(exponents) == pytest.approx(-3, abs=0.2) and max(exponents) < -1.5


def test_tpe_leaves_the_prior_after_its_start(sweep_of: Callable[..., Sweep], search: Search) -> None:
    """Four trials are random; then TPE follows what it has measured, however sure the prior was."""
    exponents = trained_rates("tpe", 30, sweep_of, search)
    assert statistics.mean(exponents[:4]) == pytest.approx(-3, abs=0.5)
    assert statistics.mean(exponents[-6:]) == pytest.approx(-1, abs=0.5)


@pytest.mark.parametrize("sampler", ["qmc", "nsga2", "cmaes"])
def test_a_sampler_that_draws_from_no_prior_is_refused(sampler: str) -> None:
    space = make_numbers({"momentum": "interval(0.0,1.0)", "rate": RATE})
    with pytest.raises(ConfigError) as refused:
        check_sampler(OmegaConf.structured(SAMPLERS[sampler]), space, 1)
    assert str(refused.value) == (
        f"rate has a prior, but sampler={sampler} draws no values from it. "
        "Use sampler=tpe or sampler=random, or leave the prior out."
    )

"""Schedules are functions of the step, tested by exact values and by laws for all of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.config.training import (
    CosineConf,
    ExponentialConf,
    PlateauConf,
    ScheduleConf,
    StepConf,
    WarmupCosineConf,
)
from kerasweep.errors import ConfigError
from kerasweep.training.schedules import rate_function

STEPS_PER_EPOCH, EPOCHS = 10, 4
RATE = 0.5


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ScheduleConf("constant"), {0: 0.5, 39: 0.5}),
        (PlateauConf("plateau"), {0: 0.5, 39: 0.5}),
        (CosineConf("cosine", alpha=0.0), {0: 0.5, 13: 0.5 * (1 + math.cos(math.pi / 3)) / 2, 39: 0.0}),
        (CosineConf("cosine", alpha=0.2), {0: 0.5, 39: 0.1, 100: 0.1}),
        (ExponentialConf("exponential", decay_rate=0.81), {0: 0.5, 5: 0.45, 10: 0.405, 20: 0.32805}),
        (
            StepConf("step", factor=0.1, boundaries=[0.5, 0.75]),
            {0: 0.5, 19: 0.5, 20: 0.05, 29: 0.05, 30: 0.005},
        ),
        (
            WarmupCosineConf("warmup_cosine", warmup_epochs=1.0, alpha=0.0),
            {0: 0.5 / 11, 4: 0.5 * 5 / 11, 9: 0.5 * 10 / 11, 10: 0.5, 39: 0.0},
        ),
    ],
    ids=lambda value: value.name if isinstance(value, ScheduleConf) else "",
)
def test_rate_at_a_step(schedule: ScheduleConf, expected: dict[int, float]) -> None:
    rate = rate_function(schedule, RATE, STEPS_PER_EPOCH, EPOCHS)
    assert {step: rate(step) for step in expected} == pytest.approx(expected)


@given(
    rate=st.floats(1e-6, 10),
    alpha=st.floats(0, 1),
    warmup_epochs=st.floats(0, 8),
    steps=st.integers(1, 20),
    epochs=st.integers(1, 6),
)
def test_warmup_climbs_then_falls_to_alpha(
    rate: float, alpha: float, warmup_epochs: float, steps: int, epochs: int
) -> None:
    schedule = WarmupCosineConf("warmup_cosine", warmup_epochs=warmup_epochs, alpha=alpha)
    follow = rate_function(schedule, rate, steps, epochs)
    rates = [follow(step) for step in range(steps * epochs)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(0 <= value <= rate * (1 + 1e-9) for value in rates)


def test_unknown_schedule_is_named() -> None:
    with pytest.raises(ConfigError, match="schedule.name is unknown: zigzag"):
        rate_function(ScheduleConf("zigzag"), RATE, 1, 1)

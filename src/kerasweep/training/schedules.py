"""Learning rate schedules: functions from the step of the optimizer to the learning rate."""

import math
from collections.abc import Callable, Sequence

from kerasweep.config.training import ScheduleConf, TrainingConf
from kerasweep.errors import ConfigError

Rate = Callable[[int], float]


def constant(learning_rate: float) -> Rate:
    """Returns the same rate for every step."""
    return lambda step: learning_rate


def cosine(learning_rate: float, steps: int, alpha: float) -> Rate:
    """Follows half a cosine from learning_rate down to alpha · learning_rate at the last of `steps` steps.

    rate(t) = learning_rate · (alpha + (1 − alpha) · (1 + cos(π · t / (steps − 1))) / 2), and constant
    afterwards. Loshchilov and Hutter, SGDR (2017), without restarts:
    https://arxiv.org/abs/1608.03983
    """
    last = max(steps - 1, 1)

    def rate(step: int) -> float:
        share = min(step / last, 1.0)
        return learning_rate * (alpha + (1 - alpha) * (1 + math.cos(math.pi * share)) / 2)

    return rate


def exponential(learning_rate: float, steps_per_epoch: int, decay_rate: float) -> Rate:
    """Multiplies by decay_rate each epoch: learning_rate · decay_rate^(t / steps_per_epoch)."""
    return lambda step: learning_rate * decay_rate ** (step / steps_per_epoch)


def step_decay(learning_rate: float, steps: int, boundaries: Sequence[float], factor: float) -> Rate:
    """Multiplies by factor at each boundary · steps: learning_rate · factor^(boundaries reached)."""
    return lambda step: learning_rate * factor ** sum(step >= boundary * steps for boundary in boundaries)


def warmup(rate: Rate, warmup_steps: int) -> Rate:
    """Climbs in a straight line, rate(0) · (t + 1) / (warmup_steps + 1), then follows rate.

    `rate` counts its steps from the end of the climb. Goyal et al. (2017): https://arxiv.org/abs/1706.02677
    """

    def climbing(step: int) -> float:
        if step < warmup_steps:
            return rate(0) * (step + 1) / (warmup_steps + 1)
        return rate(step - warmup_steps)

    return climbing


def reads_rate(schedule: ScheduleConf, has_callbacks: bool) -> bool:
    """Whether epochs have the optimizer's current rate: a plateau lowers it, a user's callback may set it."""
    return schedule.name == "plateau" or (schedule.name == "constant" and has_callbacks)


def unfrozen(rate: Rate, training: TrainingConf, learning_rate: float, steps_per_epoch: int) -> Rate:
    """Keeps the course of a rate, but goes on from training.unfreeze_learning_rate when the backbone trains.

    Args:
        rate: The rate of a training that begins at learning_rate.
        training: Without unfreeze_at the rate stays as it is.
        learning_rate: optimizer.learning_rate.
        steps_per_epoch: Batches per epoch of the training.
    """
    if training.unfreeze_at is None:
        return rate
    first, factor = (training.unfreeze_at - 1) * steps_per_epoch, unfreeze_factor(training, learning_rate)
    return lambda step: rate(step) * (factor if step >= first else 1.0)


def unfreeze_factor(training: TrainingConf, learning_rate: float) -> float:
    """Returns the factor of the rate when the backbone begins to train."""
    return training.unfreeze_learning_rate / learning_rate


def rate_function(cfg: ScheduleConf, learning_rate: float, steps_per_epoch: int, epochs: int) -> Rate:
    """Returns the schedule of a config, from the optimizer's step (counted from 0) to the learning rate.

    Args:
        cfg: The group `schedule`. `plateau` is constant here: its callback changes the rate.
        learning_rate: The highest rate.
        steps_per_epoch: Batches per epoch.
        epochs: The schedule spans epochs × steps_per_epoch steps.

    Raises:
        ConfigError: The name is unknown.
    """
    steps = steps_per_epoch * epochs
    if cfg.name in ("constant", "plateau"):
        return constant(learning_rate)
    if cfg.name == "cosine":
        return cosine(learning_rate, steps, cfg.alpha)  # type: ignore[attr-defined]
    if cfg.name == "exponential":
        return exponential(learning_rate, steps_per_epoch, cfg.decay_rate)  # type: ignore[attr-defined]
    if cfg.name == "step":
        return step_decay(learning_rate, steps, list(cfg.boundaries), cfg.factor)  # type: ignore[attr-defined]
    if cfg.name == "warmup_cosine":
        climb = min(round(cfg.warmup_epochs * steps_per_epoch), steps - 1)  # type: ignore[attr-defined]
        return warmup(cosine(learning_rate, steps - climb, cfg.alpha), climb)  # type: ignore[attr-defined]
    raise ConfigError(f"schedule.name is unknown: {cfg.name}. Choose one of conf/schedule.")

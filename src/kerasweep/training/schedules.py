"""Learning rate schedules: functions from the step of the optimizer to the learning rate."""

import math
from collections.abc import Callable, Sequence

from kerasweep.config.training import ScheduleConf
from kerasweep.errors import ConfigError

Rate = Callable[[int], float]


def constant(learning_rate: float) -> Rate:
    """`learning_rate` at every step."""
    return lambda step: learning_rate


def cosine(learning_rate: float, steps: int, alpha: float) -> Rate:
    """Half a cosine from the learning rate down to alpha times it at the last of `steps` steps.

    rate(t) = learning_rate · (alpha + (1 − alpha) · (1 + cos(π · t / (steps − 1))) / 2), and what
    it ended at from then on. Loshchilov and Hutter, SGDR (2017), without restarts:
    https://arxiv.org/abs/1608.03983
    """
    last = max(steps - 1, 1)

    def rate(step: int) -> float:
        share = min(step / last, 1.0)
        return learning_rate * (alpha + (1 - alpha) * (1 + math.cos(math.pi * share)) / 2)

    return rate


def exponential(learning_rate: float, steps_per_epoch: int, decay_rate: float) -> Rate:
    """learning_rate · decay_rate^(t / steps_per_epoch): times decay_rate each epoch."""
    return lambda step: learning_rate * decay_rate ** (step / steps_per_epoch)


def step_decay(learning_rate: float, steps: int, boundaries: Sequence[float], factor: float) -> Rate:
    """learning_rate · factor^(how many boundaries lie at or before t / steps)."""
    return lambda step: learning_rate * factor ** sum(step >= boundary * steps for boundary in boundaries)


def warmup(rate: Rate, warmup_steps: int) -> Rate:
    """A straight climb over the first steps, (t + 1) / (warmup_steps + 1) of rate(0); then rate.

    `rate` counts from the end of the climb. Goyal et al. (2017): https://arxiv.org/abs/1706.02677
    """

    def climbing(step: int) -> float:
        if step < warmup_steps:
            return rate(0) * (step + 1) / (warmup_steps + 1)
        return rate(step - warmup_steps)

    return climbing


def rate_function(cfg: ScheduleConf, learning_rate: float, steps_per_epoch: int, epochs: int) -> Rate:
    """The schedule of a config, over epochs × steps_per_epoch steps counted from 0.

    `plateau` is constant here: its callback reacts to what the training shows. Raises
    ConfigError for an unknown name.
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

"""Names the metrics of a training: the ones of every run, and the ones that a configuration asks for."""

from collections.abc import Mapping

from omegaconf import DictConfig

# The metrics of each epoch, as training/program.py measures them, and the direction in which each improves.
EPOCH_METRICS = {
    "val_accuracy": "maximize",
    "val_loss": "minimize",
    "accuracy": "maximize",
    "loss": "minimize",
}
# Also measured each epoch, if training.metrics, an objective or a monitor names them: trial/epoch_metrics.py.
ASKED_METRICS = {
    "val_f1_macro": "maximize",
    "val_balanced_accuracy": "maximize",
    "val_top_5_accuracy": "maximize",
    "val_auc": "maximize",
    "val_calibration_error": "minimize",
    "val_log_loss": "minimize",
}
OF_TRAINING = ("learning_rate", "epoch_seconds", "epoch_cpu_seconds")
# Measured once, at the end; the last two only if an objective names them.
AT_END = ("parameters", "seconds", "cpu_seconds", "flops", "latency_ms")
METRICS = (*EPOCH_METRICS, *ASKED_METRICS, *AT_END)
# Every metric of a finished trial's run; the last one takes four epochs.
MEASURES = (
    "objective",
    *EPOCH_METRICS,
    *AT_END[:3],
    *OF_TRAINING,
    "best_epoch",
    "cross_fitted_epoch",
    "trained_epochs",
    "traces",
    "max_val_accuracy",
    "generalization_gap",
    "best_epoch_gain",
    "epoch_variability",
)
VALIDATION = "val_"
# What training.metrics may name, besides functions of the user's.
NAMES = tuple(name.removeprefix(VALIDATION) for name in ASKED_METRICS)
# The endings of a metric of one half of the validation images: kept in the history, from which
# trial/metrics.py scores the run, and not logged. val_loss_a and val_accuracy_a are sums over the first half,
# divided by the number of all images; any other metric has a value of each half.
HALVES = FIRST, SECOND = "_a", "_b"


def is_of_epoch(metric: str) -> bool:
    """Whether a metric is measured after each epoch."""
    return metric in (*EPOCH_METRICS, *OF_TRAINING) or metric.startswith(VALIDATION)


def is_target(name: str) -> bool:
    """Whether a name in a list such as training.metrics is `package.module:function`."""
    return ":" in name


def asked_metrics(cfg: DictConfig) -> list[str]:
    """Returns the ASKED_METRICS that a configuration names, in their order, without `val_`."""
    named = {VALIDATION + name for name in cfg.training.metrics}
    named |= {objective.metric for objective in cfg.objective} | set(monitors(cfg).values())
    return [name.removeprefix(VALIDATION) for name in ASKED_METRICS if name in named]


def monitors(cfg: DictConfig) -> dict[str, str]:
    """Returns the keys that name a metric of each epoch, other than objectives, with the metrics."""
    training = cfg.training
    named = {"training.checkpoint.monitor": training.checkpoint.monitor}
    named["training.early_stopping.monitor"] = training.early_stopping.monitor
    if cfg.schedule.name == "plateau":
        named["schedule.monitor"] = cfg.schedule.monitor
    return named


def without_halves(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns the metrics of an epoch that are logged: all but those of one half."""
    return {
        name: value
        for name, value in metrics.items()
        if not (name.startswith(VALIDATION) and name.endswith(HALVES) and name[:-2] in metrics)
    }

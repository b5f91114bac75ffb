"""Trains one network and records it: data, program, fit, evaluation."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from kerasweep.config import check
from kerasweep.config.backbones import hub_packages
from kerasweep.config.metrics import is_of_epoch, without_halves
from kerasweep.config.passwords import resolved_text
from kerasweep.data.prepare import Prepared, check_augment, load_prepared, with_older_halves
from kerasweep.errors import RefusedError, TrackingError
from kerasweep.model.shapes import check_shape
from kerasweep.model.weights import backbone_identity
from kerasweep.results import Outcome, ReportEpoch, State, TrialRef, dominates
from kerasweep.tracking.location import is_within_reach
from kerasweep.tracking.reader import CONFIG
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.tags import (
    BEST_EPOCH,
    CROSS_FITTED,
    CROSS_FITTED_EPOCH,
    POOL_IMAGES,
    RESTORED_EPOCHS,
    SCORE,
    SPLIT,
    TRAINED_EPOCHS,
    VALIDATION_IMAGES,
    WEIGHTS_DIGEST,
)
from kerasweep.training.numerics import read_numerics
from kerasweep.training.runtime import start_tensorflow
from kerasweep.trial.artifacts import record_curves, record_data, record_errors, record_model
from kerasweep.trial.digest import check_digest, code_tags
from kerasweep.trial.metrics import Choice, choose_epochs, cross_fitted, of_history
from kerasweep.trial.network import build_network
from kerasweep.trial.record_best import save_weights

if TYPE_CHECKING:
    from kerasweep.training.fit import FitResult

# A trial that trained this long records its model at once: the seconds for it do not matter.
SECONDS_WORTH_A_MODEL = 60.0


def read_data(cfg: DictConfig, digest: str | None = None) -> Prepared:
    """Checks the configuration, and loads and prepares its data.

    Args:
        cfg: The configuration.
        digest: See `load_prepared`.

    Raises:
        ConfigError: The configuration cannot be trained.
        DataError: The data cannot be used.
    """
    check(cfg)
    prepared = load_prepared(cfg.data, digest)
    check_images(cfg, prepared)
    return prepared


def check_images(cfg: DictConfig, prepared: Prepared) -> None:
    """Raises ConfigError if network or augmentation cannot take such images, or weights are missing."""
    check_augment(cfg.augment, prepared.input_shape)
    if cfg.model.architecture != "custom":
        check_shape(cfg.model, prepared.input_shape)
    if cfg.model.architecture == "backbone":
        backbone_identity(cfg.model)


def warm_up(cfg: DictConfig) -> None:
    """Imports the packages of a training before the first trial."""
    start_tensorflow()
    import kerasweep.training.fit
    import kerasweep.training.program  # noqa: F401


def run_trial(
    cfg: DictConfig, ref: TrialRef, tracker: Recorder, report: ReportEpoch, folder: Path
) -> Outcome:
    """Trains one network and records it in the run of `ref`, which the caller closes.

    Args:
        cfg: The configuration.
        ref: The run, and how the trial belongs to its sweep.
        tracker: Records metrics, tags and artifacts.
        report: Called as report(epoch, value) after each epoch, from 1, with the first objective. Returns
            True to prune the trial.
        folder: For checkpoints, and for the weights of a trial that may be the best.

    Raises:
        ConfigError: The configuration cannot be trained.
        DataError: The data cannot be read.
        DivergedError: A loss is not finite.
    """
    prepared = read_data(cfg, ref.data_digest)
    check_digest(prepared, ref)
    record_data(cfg, ref.run_id, tracker, prepared)
    tracker.log_text(ref.run_id, resolved_text(cfg), CONFIG)
    tracker.log_text(ref.run_id, OmegaConf.to_yaml(list(ref.overrides)), "overrides.yaml")
    if not ref.draws_odd:
        prepared = with_older_halves(cfg.data, prepared)
    network = build_network(cfg, prepared)
    result = network.fit(_reporter(cfg, ref, tracker, report), folder, ref.resume_from)
    restored = {RESTORED_EPOCHS: str(result.restored)} if result.restored else {}
    score = CROSS_FITTED if ref.is_cross_fitted else BEST_EPOCH
    tags = {
        **read_numerics(hub_packages(cfg.model)),
        **ref.source,
        **code_tags(cfg),
        SPLIT: prepared.split,
        SCORE: score,
        WEIGHTS_DIGEST: network.weights_digest(),
        **restored,
    }
    tracker.set_tags(ref.run_id, tags)
    scores = _scores(result, network.parameters, ref.is_cross_fitted) | network.costs()
    metrics = scores | _of_last_epoch(result) | _numbers_of_images(prepared)
    if ref.is_single:
        metrics |= {f"test_{name}": value for name, value in network.evaluate(prepared.test).items()}
        metrics["test_images"] = float(len(prepared.test.labels))
    outcome = Outcome(
        state=State.PRUNED if result.pruned else State.COMPLETE,
        run_id=ref.run_id,
        values=tuple(scores[objective.metric] for objective in cfg.objective),
        metrics=metrics,
        best_epoch=result.best_epoch,
        seconds=result.seconds,
        reason=f"the pruner ended it after epoch {len(result.history)}" if result.pruned else None,
        tags=tags,
    )
    once = {**outcome.objectives, "best_epoch": float(result.best_epoch)}
    tracker.log_metrics(ref.run_id, _summary(metrics) | once | {"traces": float(network.traces)})
    if result.pruned:
        return outcome
    is_candidate = _is_candidate(cfg, ref, outcome)
    if is_candidate and not ref.is_single:
        outcome = save_weights(folder, network, outcome, result.history)
    if _records_model_now(cfg, ref, outcome, is_candidate):
        try:
            record_model(ref, tracker, prepared, network)
        except RefusedError:
            raise
        except TrackingError as error:  # MLflow is away: at the end the best weights become a model
            if ref.is_single:
                raise
            tracker.set_tags(ref.run_id, {"model_error": str(error)})
        record_errors(ref, tracker, prepared, network)
        record_curves(ref, tracker, result.history, result.best_epoch)
    return outcome


def _is_candidate(cfg: DictConfig, ref: TrialRef, outcome: Outcome) -> bool:
    """Whether a trial may be the best of its sweep.

    With several objectives and seeds it always may: the mean can lie on the Pareto front if no seed does.
    """
    if ref.is_tuning:
        return False
    if len(cfg.objective) > 1 and cfg.study.repeats > 1:
        return True
    directions = tuple(objective.direction for objective in cfg.objective)
    return not any(dominates(other, outcome.values, directions) for other in ref.incumbents)


def _records_model_now(cfg: DictConfig, ref: TrialRef, outcome: Outcome, is_candidate: bool) -> bool:
    """Whether to record the model now instead of when the best trial is known."""
    if ref.is_single or cfg.tracking.models != "best":
        return bool(cfg.tracking.models != "none")
    is_short = outcome.seconds < SECONDS_WORTH_A_MODEL
    return is_candidate and not (ref.defers_model and (is_short or not is_within_reach(cfg.tracking.uri)))


def _reporter(
    cfg: DictConfig, ref: TrialRef, tracker: Recorder, report: ReportEpoch
) -> Callable[[int, dict[str, float]], bool]:
    """Logs and reports each epoch with the first objective, or None if an epoch does not measure it."""
    metric = cfg.objective[0].metric

    def after_epoch(epoch: int, metrics: dict[str, float]) -> bool:
        tracker.log_epoch(ref.run_id, epoch, metrics)
        return report(epoch, metrics.get(metric))

    return after_epoch


def _scores(result: "FitResult", parameters: int, is_cross_fitted: bool) -> dict[str, float]:
    """Returns what may be an objective, and what belongs to the same epochs."""
    history, objective = result.history, result.objective
    best = Choice(result.best_epoch - 1, result.best_epoch - 1)
    choice = choose_epochs(history, objective.metric, objective.direction) if is_cross_fitted else best
    at_best = without_halves(history[best.by_a])
    measured = {
        "parameters": float(parameters),
        "seconds": result.seconds,
        "cpu_seconds": result.cpu_seconds,
    }
    epochs = {CROSS_FITTED_EPOCH: (choice.by_a + choice.by_b) / 2 + 1} if is_cross_fitted else {}
    return at_best | cross_fitted(history, choice) | of_history(history) | measured | epochs


def _of_last_epoch(result: "FitResult") -> dict[str, float]:
    return without_halves(result.history[-1]) | {TRAINED_EPOCHS: float(len(result.history))}


def _numbers_of_images(prepared: Prepared) -> dict[str, float]:
    """Returns what the report needs to know how many images two splits share."""
    drawn = {} if prepared.has_own_validation else {POOL_IMAGES: float(prepared.pool)}
    return {VALIDATION_IMAGES: float(len(prepared.validation)), **drawn}


def _summary(metrics: dict[str, float]) -> dict[str, float]:
    """Returns the metrics to log once per run; the others are logged each epoch under the same name."""
    return {name: value for name, value in metrics.items() if not is_of_epoch(name)}

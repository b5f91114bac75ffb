"""One trial: data, program, fit, evaluation and what is recorded of them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from src.config import check
from src.data.prepare import Part, Prepared, check_augment, prepare
from src.data.sources import load
from src.model.check import check_shape
from src.outcome import Outcome, TrialRef, dominates
from src.tracking.runs import Tracker
from src.training.start import start_tensorflow

if TYPE_CHECKING:
    from src.training.fit import FitResult

Report = Callable[[int, float], bool]


def read_data(cfg: DictConfig) -> Prepared:
    """Check the configuration, then load and prepare its data: all that can be refused before a run."""
    check(cfg)
    prepared = prepare(cfg.data, load(cfg.data))
    check_augment(cfg.augment, prepared.input_shape)
    if cfg.model.architecture != "custom":
        check_shape(cfg.model, prepared.input_shape)
    return prepared


def record_data(cfg: DictConfig, run_id: str, tracker: Tracker, prepared: Prepared) -> None:
    """Note which data a run stands on: its digest and how it was divided."""
    counts = {"train": len(prepared.train.labels), "validation": len(prepared.validation.labels)}
    tracker.log_dataset(
        run_id,
        name=cfg.data.source,
        digest=prepared.digest,
        source=cfg.data.path or cfg.data.source,
        profile={**counts, "test": len(prepared.test.labels), "input_shape": list(prepared.input_shape)},
    )


def record_images(cfg: DictConfig, run_id: str, tracker: Tracker, prepared: Prepared) -> None:
    """Draw the first training images into a run, each under its class."""
    from src.evaluation.figures import dataset_figure

    part = prepared.train
    figure = dataset_figure(part.images, part.labels, prepared.class_names, cfg.data.source)
    tracker.log_figure(run_id, figure, "figures/dataset.png")


def run_trial(cfg: DictConfig, ref: TrialRef, tracker: Tracker, report: Report, folder: Path) -> Outcome:
    """Train one network and record it in the run that `ref` names.

    report(epoch, best) hears the first objective's best value after each epoch, from 1 on, and
    returns True to prune. folder: takes checkpoints. Raises what training raises; the run stays
    open for the caller to close.
    """
    prepared = read_data(cfg)
    record_data(cfg, ref.run_id, tracker, prepared)
    tracker.log_text(ref.run_id, OmegaConf.to_yaml(cfg, resolve=True), "config.yaml")
    tracker.log_text(ref.run_id, OmegaConf.to_yaml(list(ref.overrides)), "overrides.yaml")
    network = _Network(cfg, prepared)
    result = network.fit(_reporter(cfg, ref, tracker, report), folder)
    metrics = _final_metrics(result, network.parameters)
    values = tuple(metrics[objective.metric] for objective in cfg.objective)
    directions = tuple(objective.direction for objective in cfg.objective)
    is_candidate = not any(dominates(other, values, directions) for other in ref.incumbents)
    if ref.is_single:
        metrics |= {f"test_{name}": value for name, value in network.evaluate(prepared.test).items()}
    once = {"objective": values[0], "best_epoch": float(result.best_epoch)}
    tracker.log_metrics(ref.run_id, _summary(metrics) | once)
    _record_curves(ref, tracker, result)
    if is_candidate and not result.pruned:
        _record_model(ref, tracker, prepared, network)
    return Outcome(
        state="pruned" if result.pruned else "complete",
        run_id=ref.run_id,
        values=values,
        metrics=metrics,
        best_epoch=result.best_epoch,
        seconds=result.seconds,
        reason="the pruner ended it" if result.pruned else None,
    )


class _Network:
    """A model under training, and the data it reads."""

    def __init__(self, cfg: DictConfig, prepared: Prepared) -> None:
        start_tensorflow()
        import keras

        from src.training.program import compile_model
        from src.training.seeding import seed_everything, set_precision

        keras.backend.clear_session()
        seed_everything(cfg.training.seed, cfg.training.deterministic)
        set_precision(cfg.training.precision)
        self.cfg = cfg
        self.prepared = prepared
        self.model = self._build(plain=False)
        self.parameters = _parameters(self.model)
        compile_model(self.model, cfg.optimizer, cfg.data.labels)

    def _build(self, plain: bool) -> Any:
        from src.model.build import build_model

        cfg, data = self.cfg, self.prepared
        return build_model(
            cfg.model,
            cfg.initializer,
            cfg.regularizer,
            data.input_shape,
            data.num_classes,
            seed=cfg.training.seed,
            plain=plain,
        )

    def fit(self, report: Callable[[int, dict[str, float]], bool], folder: Path) -> "FitResult":
        from src.data.pipeline import training_batches
        from src.training.fit import fit

        cfg, data = self.cfg, self.prepared
        batches = training_batches(
            data.train,
            data.scaling,
            cfg.augment,
            cfg.training.batch_size,
            cfg.training.shuffle,
            cfg.training.seed,
            data.num_classes,
            cfg.data.labels,
        )
        return fit(
            self.model,
            batches,
            self._batches(data.validation),
            cfg.training,
            cfg.schedule,
            cfg.optimizer.learning_rate,
            cfg.objective[0],
            report,
            folder,
        )

    def evaluate(self, part: Part) -> dict[str, float]:
        from src.training.evaluate import evaluate

        return evaluate(self.model, self._batches(part))

    def probabilities(self, part: Part) -> Any:
        from src.training.evaluate import predict_probabilities

        return predict_probabilities(self.model, self._batches(part))

    def twin(self) -> Any:
        from src.model.twin import plain_twin

        return plain_twin(self.model, lambda: self._build(plain=True), self.prepared.scaling)

    def _batches(self, part: Part) -> Any:
        from src.data.pipeline import evaluation_batches

        data = self.prepared
        return evaluation_batches(
            part, data.scaling, self.cfg.training.batch_size, data.num_classes, self.cfg.data.labels
        )


def _parameters(model: Any) -> int:
    """How many numbers the saved model has: the warm-up's counters are not among them."""
    return sum(int(weight.numpy().size) for weight in model.weights if weight.name != "updates")


def _reporter(
    cfg: DictConfig, ref: TrialRef, tracker: Tracker, report: Report
) -> Callable[[int, dict[str, float]], bool]:
    """Log each epoch, and tell `report` the best value so far of the first objective."""
    objective = cfg.objective[0]
    better = max if objective.direction == "maximize" else min
    best: list[float] = []

    def after_epoch(epoch: int, metrics: dict[str, float]) -> bool:
        tracker.log_epoch(ref.run_id, epoch, metrics)
        if objective.metric not in metrics:
            return False
        best[:] = [better([*best, metrics[objective.metric]])]
        return report(epoch, best[0])

    return after_epoch


def _final_metrics(result: "FitResult", parameters: int) -> dict[str, float]:
    at_best = result.history[result.best_epoch - 1]
    return {**at_best, "parameters": float(parameters), "seconds": result.seconds}


def _summary(metrics: dict[str, float]) -> dict[str, float]:
    """What is logged once a run: the rest has been logged per epoch under the same name."""
    return {
        name: value
        for name, value in metrics.items()
        if name in ("parameters", "seconds") or name.startswith("test_")
    }


def _record_curves(ref: TrialRef, tracker: Tracker, result: "FitResult") -> None:
    from src.evaluation.figures import learning_curves

    figure = learning_curves(result.history, result.best_epoch)
    tracker.log_figure(ref.run_id, figure, "figures/learning_curves.png")


def _record_model(ref: TrialRef, tracker: Tracker, prepared: Prepared, network: _Network) -> None:
    """Keep the model, and show where it errs: a single run on the test set, a trial on the validation set."""
    import json
    from tempfile import TemporaryDirectory

    from src.evaluation.figures import confusion_figure, wrong_images
    from src.evaluation.metrics import confusion_matrix

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        network.twin().save(path)
        tracker.log_file(ref.run_id, path, "model")
    names = json.dumps(list(prepared.class_names), ensure_ascii=False)
    tracker.log_text(ref.run_id, names, "model/classes.json")
    part = prepared.test if ref.is_single else prepared.validation
    probabilities = network.probabilities(part)
    matrix = confusion_matrix(part.labels, probabilities.argmax(axis=1), prepared.num_classes)
    tracker.log_figure(
        ref.run_id, confusion_figure(matrix, prepared.class_names), "figures/confusion_matrix.png"
    )
    wrong = wrong_images(part.images, part.labels, probabilities, prepared.class_names)
    tracker.log_figure(ref.run_id, wrong, "figures/wrong_images.png")

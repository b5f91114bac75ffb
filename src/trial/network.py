"""A network under training, together with the data it reads."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from src.config.keys import RUN_GROUPS
from src.data.prepare import Part, Prepared
from src.model.count import count_parameters
from src.training.start import start_tensorflow

if TYPE_CHECKING:
    from src.training.fit import FitResult


class Network:
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

    def fit(
        self,
        report: Callable[[int, dict[str, float]], bool],
        folder: Path,
        resume_from: Path | None = None,
    ) -> "FitResult":
        from src.data.pipeline import steps_per_epoch
        from src.training.fit import fit

        cfg, data = self.cfg, self.prepared
        return fit(
            self.model,
            self.batches,
            steps_per_epoch(data.train, cfg.training.batch_size),
            self.batches_of(data.validation),
            cfg.training,
            cfg.schedule,
            cfg.optimizer.learning_rate,
            cfg.objective,
            report,
            folder,
            resume_from,
            self._fingerprint(),
        )

    def _fingerprint(self) -> str:
        """Of all that the training depends on: the state of another one does not fit."""
        names = (*RUN_GROUPS, "objective")
        groups = [OmegaConf.to_yaml(self.cfg[name], resolve=True, sort_keys=True) for name in names]
        return hashlib.sha256("\0".join([*groups, self.prepared.digest]).encode()).hexdigest()

    def batches(self, first_epoch: int) -> Any:
        """The training batches of all epochs from one on."""
        from src.data.pipeline import training_batches

        cfg, data = self.cfg, self.prepared
        return training_batches(
            data.train,
            data.scaling,
            cfg.augment,
            cfg.training.batch_size,
            cfg.training.shuffle,
            cfg.training.seed,
            data.num_classes,
            cfg.data.labels,
            range(first_epoch, cfg.training.epochs + 1),
        )

    def evaluate(self, part: Part) -> dict[str, float]:
        from src.training.evaluate import evaluate

        return evaluate(self.model, self.batches_of(part))

    def probabilities(self, part: Part) -> Any:
        from src.training.evaluate import predict_probabilities

        return predict_probabilities(self.model, self.batches_of(part))

    def twin(self) -> Any:
        from src.model.twin import plain_twin

        return plain_twin(self.model, lambda: self._build(plain=True), self.prepared.scaling)

    def batches_of(self, part: Part) -> Any:
        """The batches of a part in its order, as it is evaluated."""
        from src.data.pipeline import evaluation_batches

        data = self.prepared
        return evaluation_batches(
            part, data.scaling, self.cfg.training.batch_size, data.num_classes, self.cfg.data.labels
        )


def parameters_of(cfg: DictConfig, prepared: Prepared) -> int:
    """How many parameters a network has: reckoned, or where it is custom, built and counted."""
    if cfg.model.architecture != "custom":
        return count_parameters(cfg.model, prepared.input_shape, prepared.num_classes)
    return Network(cfg, prepared).parameters


def _parameters(model: Any) -> int:
    """How many numbers the saved model has: the warm-up's counters are not among them."""
    return sum(int(weight.numpy().size) for weight in model.weights if weight.name != "updates")

"""Begins a training in a new program, or in the program of an earlier network with the same graph."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from kerasweep.data.prepare import Prepared
from kerasweep.model.weights import backbone_identity
from kerasweep.training.program_cache import graph_key, structure
from kerasweep.trial.frozen_backbone import seed_random_backbone

if TYPE_CHECKING:
    from kerasweep.training.features import FrozenBackbone
    from kerasweep.training.program import Program


def begin_program(
    cfg: DictConfig, prepared: Prepared, frozen: "FrozenBackbone | None"
) -> tuple[str | None, "Program"]:
    """Returns a program with fresh weights and its key, which is None if no other network reuses it.

    Args:
        cfg: The configuration.
        prepared: The data.
        frozen: The backbone whose outputs the network reads in place of images; None if it reads images.
    """
    if cfg.model.architecture == "custom":
        return _begin_custom(cfg, prepared)
    return _begin_built_in(cfg, prepared, frozen)


def graph_of(cfg: DictConfig, prepared: Prepared) -> str | None:
    """Returns the key of the program that a network can reuse; None if only the built network has it."""
    is_known = cfg.training.reuse_programs and cfg.model.architecture != "custom"
    return _graph(cfg, prepared, weights_in_graph(cfg)) if is_known else None


def stock_network(cfg: DictConfig, prepared: Prepared) -> Any:
    """Returns the network of the configuration made of Keras's own layers, with arbitrary weights."""
    from kerasweep.model.parts import StockParts

    return _make_model(cfg, prepared, StockParts(cfg.initializer, cfg.regularizer, cfg.training.seed))


def _begin_built_in(
    cfg: DictConfig, prepared: Prepared, frozen: "FrozenBackbone | None"
) -> tuple[str | None, "Program"]:
    from kerasweep.model.parts import AdjustableParts

    def make() -> "Program":
        parts = AdjustableParts()
        if frozen is None:
            return _make_program(cfg, _make_model(cfg, prepared, parts), parts)
        from kerasweep.model.backbone import build_head

        return _make_program(cfg, build_head(cfg.model, parts, frozen.dimension, prepared.num_classes), parts)

    graph, program = _reuse_or_make(cfg, prepared, weights_in_graph(cfg), make)
    assert program.parts is not None
    program.parts.begin(program.model, cfg.model, cfg.initializer, cfg.regularizer, cfg.training.seed)
    if cfg.model.architecture == "backbone" and cfg.model.weights is None and frozen is None:
        from kerasweep.model.backbone import redraw

        seed_random_backbone(cfg)
        redraw(program.model, cfg.model, prepared.input_shape)
    return graph, program


def weights_in_graph(cfg: DictConfig) -> str | None:
    """Returns the weights to which a program's backbone is reset; random ones are drawn for each network."""
    return backbone_identity(cfg.model) if cfg.model.architecture == "backbone" else None


def _begin_custom(cfg: DictConfig, prepared: Prepared) -> tuple[str | None, "Program"]:
    """Returns a program with the weights that the user's function draws."""
    import keras

    from kerasweep.model.custom import check_saveable, check_scaling
    from kerasweep.training.runtime import seed_everything, set_precision

    seed_everything(cfg.training.seed)
    keras.backend.clear_session()  # the numbers in layer names start at 0 again
    set_precision(cfg.training.precision)  # clear_session also resets it
    fresh = _make_model(cfg, prepared, None)
    check_scaling(cfg.model.target, fresh, cfg.data.scaling)

    def make() -> "Program":  # the check builds the network once more, so networks of one structure share it
        if cfg.tracking.models != "none":
            check_saveable(cfg.model.target, fresh)
        return _make_program(cfg, fresh, None)

    described = structure(fresh)
    if described is None:
        return None, make()
    graph, program = _reuse_or_make(cfg, prepared, described, make)
    for variable, value in zip(program.model.variables, fresh.variables, strict=True):
        variable.assign(value)
    return graph, program


def _reuse_or_make(
    cfg: DictConfig, prepared: Prepared, described: str | None, make: Callable[[], "Program"]
) -> tuple[str | None, "Program"]:
    from kerasweep.training.program_cache import PROGRAMS

    if not cfg.training.reuse_programs:
        return None, make()
    graph = _graph(cfg, prepared, described)
    return graph, PROGRAMS.get(graph) or PROGRAMS.add(graph, make)


def _make_program(cfg: DictConfig, model: Any, parts: Any) -> "Program":
    from kerasweep.training.program import Program
    from kerasweep.training.runtime import uses_xla

    frozen: Sequence[Any] = ()
    if cfg.training.unfreeze_at is not None:
        from kerasweep.model.backbone import unfreeze

        frozen = unfreeze(model, cfg.model)
    xla = uses_xla(cfg.training)
    return Program(model, parts, cfg.optimizer, cfg.data.labels, cfg.training, cfg.augment, xla, frozen)


def _make_model(cfg: DictConfig, prepared: Prepared, parts: Any) -> Any:
    from kerasweep.model.network import build_model

    return build_model(cfg.model, parts, prepared.input_shape, prepared.num_classes)


def _graph(cfg: DictConfig, prepared: Prepared, described: str | None) -> str:
    return graph_key(
        cfg.model,
        cfg.optimizer,
        cfg.training,
        cfg.augment,
        cfg.data.labels,
        prepared.input_shape,
        prepared.num_classes,
        described,
    )

"""A sweep composes from the config files as they were when it began."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from kerasweep.multirun.freeze_configs import freeze, read_ahead
from tests.compositions import write_files

FILES = {
    "main.yaml": "defaults: [{optimizer: sgd}, _self_]\nepochs: 3\n",
    "optimizer/base.yaml": "rate: 0.1\n",
    "optimizer/sgd.yaml": "defaults: [base, {/extra@more: [one, two]}]\nmomentum: 0.9\n",
    "optimizer/adam.yaml": "defaults: [base]\nbeta: 0.9\n",
    "extra/one.yaml": "a: 1\n",
    "extra/two.yaml": "b: 2\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path, FILES)


@pytest.fixture
def context(folder: Path) -> Iterator[HydraContext]:
    """Returns the context of a program that does not call `compose_once`."""
    with initialize_config_dir(str(folder), version_base="1.3"):
        path = GlobalHydra.instance().config_loader().get_search_path()
        yield HydraContext(config_loader=ConfigLoaderImpl(path), callbacks=Callbacks())


def composed(context: HydraContext, *overrides: str) -> dict[str, object]:
    cfg = context.config_loader.load_configuration("main", list(overrides), run_mode=RunMode.RUN)
    content = OmegaConf.to_container(cfg)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items() if key != "hydra"}


def spoil(folder: Path) -> None:
    for name in FILES:
        (folder / name).write_text("spoiled: true\n")


def test_frozen_files_are_not_read_again(context: HydraContext, folder: Path) -> None:
    before = [composed(context), composed(context, "optimizer=adam")]
    freeze(context)
    read_ahead(context, ["main", "optimizer/sgd", "optimizer/adam"], "main", [])
    spoil(folder)
    assert [composed(context), composed(context, "optimizer=adam")] == before
    assert before[0] == {
        "optimizer": {"rate": 0.1, "momentum": 0.9, "more": {"a": 1, "b": 2}},
        "epochs": 3,
    }


def test_unfrozen_files_show_an_edit(context: HydraContext, folder: Path) -> None:
    spoil(folder)
    assert composed(context) == {"spoiled": True}


def test_compositions_do_not_change_the_frozen_files(context: HydraContext) -> None:
    freeze(context)
    first = composed(context, "optimizer.rate=5", "epochs=9")
    assert composed(context) != first
    assert composed(context)["epochs"] == 3


def test_configs_of_another_search_path_are_found_and_frozen(
    context: HydraContext, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = tmp_path_factory.mktemp("own")
    (own / "optimizer").mkdir()
    (own / "optimizer/mine.yaml").write_text("rate: 7\n")
    searched = f"hydra.searchpath=[{own}]"
    freeze(context)
    read_ahead(context, ["optimizer/mine"], "main", [searched])
    (own / "optimizer/mine.yaml").write_text("rate: 8\n")
    assert composed(context, searched, "optimizer=mine")["optimizer"] == {"rate": 7}


def test_options_do_not_change_after_the_start(context: HydraContext, folder: Path) -> None:
    freeze(context)
    options = context.config_loader.get_group_options("optimizer")
    (folder / "optimizer" / "new.yaml").write_text("rate: 1\n")
    assert context.config_loader.get_group_options("optimizer") == options == ["adam", "base", "sgd"]

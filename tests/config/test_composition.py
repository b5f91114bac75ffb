"""Hydra composes with `compose_once` what it composes without, messages included, and reads no file twice."""

import pickle
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import make_dataclass
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from kerasweep.config import composition, register
from kerasweep.config.composition import OnceLoader, compose_once
from kerasweep.config.folders import config_folder
from tests.compositions import with_studies, write_files

RUN, MULTIRUN = RunMode.RUN, RunMode.MULTIRUN
DEFAULTS = "[{optimizer: sgd}, {tuned: '${optimizer}_rate'}, {data: '???'}, {optional extra: none}, _self_]"
FILES = {
    "main.yaml": f"defaults: {DEFAULTS}\nepochs: 3\n",
    "optimizer/sgd.yaml": "momentum: 0.9\nname: sgd\n",
    "optimizer/adam.yaml": "beta: 0.9\nname: adam\n",
    "tuned/sgd_rate.yaml": "rate: 0.1\n",
    "tuned/adam_rate.yaml": "rate: 0.001\n",
    "data/digits.yaml": "# @package _global_\ndefaults: [{override /optimizer: adam}]\nsource: digits\n",
    "data/faces.yaml": "source: faces\n",
    "extra/late.yaml": "late: true\n",
}
# Each is composed after all before it, so that it finds their answers.
CASES: list[tuple[RunMode, list[str]]] = [
    (MULTIRUN, []),
    (RUN, []),  # data is missing
    (RUN, ["data=faces"]),
    (RUN, ["epochs=5", "data=faces"]),
    (MULTIRUN, ["data=faces", "hydra.mode=MULTIRUN"]),
    (MULTIRUN, ["data=faces", "epochs=1,2"]),
    (RUN, ["data=faces", "epochs=1,2"]),  # a sweep needs --multirun
    (MULTIRUN, ["data=faces,digits"]),
    (RUN, ["data=digits"]),
    (RUN, ["data=faces", "optimizer=adam"]),
    (RUN, ["optimizer=adam", "data=faces"]),
    (RUN, ["data=faces", "optimizer={momentum: 0.5}"]),
    (RUN, ["data=faces", "~optimizer"]),
    (RUN, ["data=faces", "~optimizer.momentum"]),
    (RUN, ["data=faces", "+extra=late"]),
    (RUN, ["data=faces", "++extra=late"]),
    (RUN, ["data=faces", "extra=late"]),
    (RUN, ["data=faces", "+new=7", "++epochs=9"]),
    (RUN, ["data=faces", "data@second=digits"]),
    (RUN, ["data=faces", "+data@second=faces"]),
    (RUN, ["data=faces", "+data@third=faces"]),
    (RUN, ["data=faces", "extra=[late]"]),
    (RUN, ["data=nowhere"]),
    (RUN, ["optimizer=nowhere"]),
    (RUN, ["data=x???"]),
    (RUN, ["data='${optimizer}'"]),
    (RUN, ["data=faces", "none=7"]),
    (RUN, ["data=faces", "optimizer.momentum=high"]),
    (RUN, ["data=faces", "hydra/job_logging=disabled", "hydra.job.name=mine"]),
    (RUN, ["data=faces"]),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path, FILES)


@pytest.fixture(autouse=True)
def once() -> Iterator[None]:
    """Composes once, with the answers of this test alone."""
    compose_once()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "new_answers", lambda: {})
        yield


@pytest.fixture
def path(folder: Path) -> Iterator[ConfigSearchPath]:
    with initialize_config_dir(str(folder), version_base="1.3"):
        yield GlobalHydra.instance().config_loader().get_search_path()


@pytest.fixture
def own_path() -> Iterator[ConfigSearchPath]:
    """Returns the search path of `python -m src.train`."""
    register()
    with with_studies(), initialize_config_dir(config_folder("conf"), version_base="1.3"):
        yield GlobalHydra.instance().config_loader().get_search_path()


def composed(loader: ConfigLoaderImpl, mode: RunMode, overrides: list[str], primary: str = "main") -> str:
    """Returns the configuration as text, or the error's message."""
    try:
        cfg = loader.load_configuration(primary, overrides, mode)
    except (HydraException, ValueError) as error:
        return f"{type(error).__name__}: {error} {error.__cause__!r}"
    assert OmegaConf.is_struct(cfg) and not OmegaConf.is_readonly(cfg.hydra)
    return OmegaConf.to_yaml(cfg)


def by_hydra(path: ConfigSearchPath, mode: RunMode, overrides: list[str], primary: str = "main") -> str:
    """Composes with Hydra's own loader and function, which `compose_once` replaces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defaults_list, "_create_interpolation_map", composition.hydras_interpolation_map)
        return composed(ConfigLoaderImpl(path), mode, overrides, primary)


def test_composes_like_hydra(path: ConfigSearchPath) -> None:
    loader = OnceLoader(path)
    texts = []
    for mode, overrides in CASES:
        texts.append(by_hydra(path, mode, overrides))
        for _ in range(2):
            assert composed(loader, mode, overrides) == texts[-1], (mode, overrides)
    assert 20 < len(set(texts)) < len(CASES)  # the last repeats an earlier one
    assert sum("hydra:" in text for text in texts) > 12  # the others are errors


OWN_CASES: list[tuple[RunMode, list[str]]] = [
    (MULTIRUN, []),
    (MULTIRUN, ["hydra.mode=MULTIRUN"]),
    (MULTIRUN, ["study=quickstart"]),
    (RUN, ["study=quickstart", "regularizer=l2"]),
    (RUN, ["study=quickstart", "regularizer=none", "model.kernel_size=5"]),
    (RUN, ["experiment=cifar10_vgg", "training.epochs=1"]),
    (MULTIRUN, ["data=image_folder"]),
    (RUN, ["optimizer=sgd", "optimizer.momentum=0.5", "tags.team=vision"]),
]


def test_composes_the_commands_like_hydra(own_path: ConfigSearchPath) -> None:
    loader = OnceLoader(own_path)
    for mode, overrides in OWN_CASES:
        assert composed(loader, mode, overrides, "train") == by_hydra(own_path, mode, overrides, "train")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["optimizer=adam", "optimizer.momentum=0.5"],
            "The chosen optimizer has no momentum. It has name, lea",
        ),
        (["model.kernel_sze=5"], "The chosen model has no kernel_sze. Did you mean kernel_size?"),
        (["model.normalization.foo=5"], "The chosen model.normalization has no foo. It has kind, position"),
        (["study.claim={comparisons:[{xy:{a:1}}]}"], "A part of study.claim has no xy. It has of, relation"),
    ],
)
def test_no_message_advises_to_append_a_key_that_nothing_reads(
    overrides: list[str], said: str, own_path: ConfigSearchPath
) -> None:
    message = composed(OnceLoader(own_path), RUN, overrides, "train")
    assert message.startswith(f"ConfigCompositionException: {said}") and "append" not in message
    assert "To append to your config" in by_hydra(own_path, RUN, overrides, "train")


def test_primary_config_with_a_search_path(path: ConfigSearchPath, folder: Path) -> None:
    (folder / "elsewhere/data").mkdir(parents=True)
    (folder / "elsewhere/data/mine.yaml").write_text("source: mine\n")
    (folder / "other.yaml").write_text(
        f"defaults: [{{data: mine}}, _self_]\nhydra: {{searchpath: [{folder}/elsewhere]}}\n"
    )
    loader = OnceLoader(path)
    for _ in range(2):
        assert "source: mine" in composed(loader, RUN, [], "other") == by_hydra(path, RUN, [], "other")


def test_schema_that_cannot_be_pickled(
    path: ConfigSearchPath, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConfigStore.instance(), "repo", deepcopy(ConfigStore.instance().repo))
    made = make_dataclass("Made", [("width", int, 1)])
    ConfigStore.instance().store(group="size", name="made", node=made)
    (folder / "other.yaml").write_text("defaults: [{size: made}, _self_]\nheight: 2\n")
    loader = OnceLoader(path)
    for overrides, end in (
        (["size.width=3"], "  width: 3\nheight: 2\n"),
        ([], "  width: 1\nheight: 2\n"),
        (["size.width=wide"], "could not be converted to Integer"),
    ):
        text = composed(loader, RUN, overrides, "other")
        assert text == by_hydra(path, RUN, overrides, "other")
        assert end in text


def test_a_search_path_on_the_command_line_has_its_own_files(
    path: ConfigSearchPath, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    loader = OnceLoader(path)
    for rate, folder in enumerate(folders):
        (folder / "data").mkdir()
        (folder / "data/mine.yaml").write_text(f"rate: {rate}\n")
    for folder in folders * 2:
        overrides = [f"hydra.searchpath=[{folder}]", "data=mine"]
        assert composed(loader, RUN, overrides) == by_hydra(path, RUN, overrides)
    assert "Could not find" in composed(loader, RUN, ["data=mine"])


def test_files_are_read_once_by_a_loader(path: ConfigSearchPath, folder: Path) -> None:
    loader = OnceLoader(path)
    first = composed(loader, RUN, ["data=faces"])
    (folder / "main.yaml").write_text(f"defaults: {DEFAULTS}\nepochs: 4\n")
    (folder / "data/faces.yaml").write_text("source: edited\n")
    assert composed(loader, RUN, ["data=faces"]) == first
    assert composed(loader, RUN, ["data=faces", "epochs=3"]).count("epochs: 3") == 1
    later = composed(OnceLoader(path), RUN, ["data=faces"])
    assert "epochs: 4" in later and "source: edited" in later


def test_changes_of_a_configuration_do_not_reach_the_next(path: ConfigSearchPath) -> None:
    loader = OnceLoader(path)
    cfg = loader.load_configuration("main", ["data=faces"], RUN)
    cfg.data.source = "changed"
    cfg.hydra.runtime.choices["data"] = "changed"
    assert "changed" not in composed(loader, RUN, ["data=faces"])


def test_answers_stay_in_their_process(path: ConfigSearchPath, folder: Path) -> None:
    """A loader that is sent to another process, which reads files itself, takes no answers along."""
    loader = OnceLoader(path)
    composed(loader, RUN, ["data=faces"])
    sent = pickle.loads(pickle.dumps(loader))
    assert sent.repository._answers == {} != loader.repository._answers
    assert composed(sent, RUN, ["data=faces"]) == composed(loader, RUN, ["data=faces"])

"""`src.predict` converts any image to the size and channels of a recorded model."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import keras
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from kerasweep.commands import predict_files
from kerasweep.commands.predict import predict
from kerasweep.config.folders import config_folder
from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError, DataError, KerasweepError, TrackingError
from kerasweep.results import State
from kerasweep.serving.pixels import Conversion
from kerasweep.tracking.keras_model import find_model
from kerasweep.tracking.writer import open_tracker
from tests import processes
from tests.hostile_models import HOSTILE

ROOT = Path(__file__).resolve().parents[2]
DARK, BRIGHT = 50, 250
CLASSES = ["어둠", "bright"]


class Recorded:
    """Makes a database with two models and a run without a model."""

    def __init__(self, database: Path) -> None:
        self.uri = f"sqlite:///{database}"
        self.tracker = open_tracker(TrackingConf(uri=self.uri))
        self.folder = database.parent
        self.grayscale = self.record("grayscale", 1, 0.5)
        self.color = self.record("color", 3, 0.75)
        self.pruned = self.record("pruned", None, 0.9)

    def record(self, name: str, channels: int | None, objective: float) -> str:
        """Records a trial of one sweep; without a model if channels is None."""
        tags = {"sweep": "s-1", "kind": "trial", "objective": "val_accuracy maximize"}
        model = None if channels is None else brightness_model(channels)
        return self.record_model(name, model, tags, {"objective": objective})

    def record_model(
        self,
        name: str,
        model: keras.Model | None,
        tags: Mapping[str, str] = MappingProxyType({"kind": "run"}),
        metrics: Mapping[str, float] = MappingProxyType({}),
    ) -> str:
        """Records a complete run, perhaps with a model."""
        run_id = self.tracker.start(name, tags, {})
        self.tracker.log_metrics(run_id, metrics)
        if model is not None:
            self.tracker.log_model(run_id, model, CLASSES)
        self.tracker.finish(run_id, State.COMPLETE)
        return run_id

    def record_alone(self) -> tuple[str, Path]:
        """Records a single run with a model; returns its id and its model's folder."""
        before = set(self.folder.rglob("MLmodel"))
        run_id = self.record_model("run", brightness_model(1))
        (description,) = set(self.folder.rglob("MLmodel")) - before
        return run_id, description.parent


def brightness_model(channels: int) -> keras.Model:
    """Returns a model of raw pixels (4, 6, channels): an image is bright if its mean is above 127.5."""
    pixels = keras.Input((4, 6, channels))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    flat = keras.layers.Flatten()(scaled)
    weights = np.full((24 * channels, 1), 1 / (24 * channels)) @ np.array([[-1.0, 1.0]])
    dense = keras.layers.Dense(2, activation="softmax", use_bias=False)
    model = keras.Model(pixels, dense(flat))
    dense.set_weights([weights])
    return model


@pytest.fixture(scope="session")
def recorded(copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(copy_database(tmp_path_factory.mktemp("predicted")))


@pytest.fixture
def run(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Returns a function that predicts in the test's folder; it returns the printed lines."""

    def predicted(*overrides: str) -> list[str]:
        monkeypatch.chdir(tmp_path)
        with initialize_config_dir(config_folder("conf"), version_base="1.3"):
            predict(compose("predict", [f"tracking.uri={recorded.uri}", *overrides]))
        return capsys.readouterr().out.splitlines()

    return predicted


@pytest.fixture
def refused(run: Callable[..., list[str]]) -> Callable[..., str]:
    """Returns a function that predicts and returns the message of the error."""

    def message_of(kind: type[KerasweepError], *overrides: str) -> str:
        with pytest.raises(kind) as raised:
            run(*overrides)
        return str(raised.value)

    return message_of


def gray(value: int, size: tuple[int, int] = (6, 4)) -> Image.Image:
    """Returns an image of one value; size is (width, height)."""
    return Image.new("L", size, value)


def test_images_are_classified_in_one_batch(
    recorded: Recorded, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    gray(DARK).save(tmp_path / "a.png")
    gray(BRIGHT).save(tmp_path / "그림 b.png")
    share = 1 / (1 + np.exp(-2 * (BRIGHT / 127.5 - 1)))
    lines = run(f"run_id={recorded.grayscale}", "images=[a.png,'그림 b.png']")
    assert lines[0].startswith("a.png: 어둠  (어둠 ")
    assert lines[1] == f"그림 b.png: bright  (bright {share:.1%}, 어둠 {1 - share:.1%})"
    assert len(lines) == 2


def test_one_image_gets_its_batch_axis_and_top_limits_the_classes(
    recorded: Recorded, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    gray(BRIGHT).save(tmp_path / "a.png")
    (line,) = run(f"run_id='{recorded.grayscale[:8]}'", "images=[a.png]", "top=1")
    assert line.count("%") == 1


def test_single_image_needs_no_brackets(
    recorded: Recorded, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    gray(BRIGHT).save(tmp_path / "a.png")
    (line,) = run(f"run_id={recorded.grayscale}", "images=a.png")
    assert line.startswith("a.png: bright ")


def clear_on_black() -> Image.Image:
    """Returns a black image that looks white because it is transparent."""
    return Image.new("RGBA", (6, 4), (0, 0, 0, 10))


def deep(value: int) -> Image.Image:
    """Returns a grayscale image of 16 bits a pixel."""
    return Image.fromarray(np.full((4, 6), value * 256, dtype=np.uint16))


@pytest.mark.parametrize(
    ("image", "model", "converted", "name"),
    [
        (gray(BRIGHT, (12, 8)), "grayscale", "8x12 to 4x6 pixels", "bright"),
        (gray(BRIGHT).convert("RGB"), "grayscale", "RGB to grayscale", "bright"),
        (gray(DARK), "color", "grayscale to RGB", "어둠"),
        (gray(BRIGHT, (5, 5)), "color", "grayscale to RGB, 5x5 to 4x6 pixels", "bright"),
        (clear_on_black(), "color", "transparency to white", "bright"),
        (clear_on_black(), "grayscale", "transparency to white, RGB to grayscale", "bright"),
        (deep(BRIGHT), "grayscale", "16 bits a pixel to 8", "bright"),
        (deep(DARK), "grayscale", "16 bits a pixel to 8", "어둠"),
        (gray(BRIGHT).convert("P"), "color", "palette to RGB", "bright"),
        (gray(BRIGHT).convert("1"), "grayscale", "black and white to grayscale", "bright"),
    ],
)
def test_other_images_are_converted_with_a_note(
    recorded: Recorded,
    run: Callable[..., list[str]],
    tmp_path: Path,
    image: Image.Image,
    model: str,
    converted: str,
    name: str,
) -> None:
    image.save(tmp_path / "a.png")
    first, second = run(f"run_id={getattr(recorded, model)}", "images=[a.png]")
    assert first.startswith(f"a.png: {name} ")
    assert second == f"  converted: {converted}"


def test_registered_model_is_named_by_its_alias_version_or_newest_version(
    recorded: Recorded, run: Callable[..., list[str]], refused: Callable[..., str], tmp_path: Path
) -> None:
    gray(DARK).save(tmp_path / "a.png")
    tracking, client = TrackingConf(uri=recorded.uri), recorded.tracker.client
    client.create_registered_model("shades")
    for run_id in (recorded.color, recorded.grayscale):
        client.create_model_version("shades", str(find_model(tracking, run_id)), run_id)
    client.set_registered_model_alias("shades", "champion", "2")
    expected = run(f"run_id={recorded.grayscale}", "images=[a.png]")
    for address in ("models:/shades@champion", "models:/shades/2", "models:/shades/latest"):
        assert run(f"registered_model={address}", "images=[a.png]") == expected
    assert run("registered_model=models:/shades/1", "images=[a.png]")[1] == "  converted: grayscale to RGB"
    place = f"MLflow at {recorded.uri} says:"
    assert refused(TrackingError, "registered_model=models:/shades@best", "images=[a.png]") == (
        f"{place} Registered model alias best not found."
    )
    assert refused(TrackingError, "registered_model=models:/shades/x/y", "images=[a.png]") == (
        "A model of the registry is written models:/NAME@ALIAS or models:/NAME/VERSION, but got "
        "models:/shades/x/y."
    )


def test_a_sweep_names_the_model_of_its_winner(
    recorded: Recorded, run: Callable[..., list[str]], refused: Callable[..., str], tmp_path: Path
) -> None:
    gray(BRIGHT).save(tmp_path / "a.png")
    tags = {"study": "shades", "sweep": "shades-2", "objective": "val_accuracy maximize", "dataset": "d"}
    recorded.record_model("shades", None, {**tags, "kind": "study"})
    for value, channels in ((0.5, 1), (0.75, 3)):
        trial = {
            **tags,
            "kind": "trial",
            "trial": str(channels),
            "swept": "channels",
            "channels": str(channels),
        }
        metrics = {"objective": value, "test_accuracy": value, "test_images": 8.0}
        recorded.record_model("trial", brightness_model(channels), trial, metrics)
    lines = run("sweep=shades", "images=[a.png]")
    assert lines[0].startswith("a.png: bright ") and lines[1] == "  converted: grayscale to RGB"
    assert run("sweep=shades-2", "images=[a.png]") == lines
    message = refused(TrackingError, "sweep=shads", "images=[a.png]")
    assert message == "No run has study=shads. There is study=shades."
    assert refused(ConfigError, "sweep=shades", "run_id=1", "images=[a.png]") == (
        "Give one of sweep, run_id and model, but got sweep=shades run_id=1."
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Writes two dark images, a bright one and a damaged one into a folder and its subfolder."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name, value in (("a.png", DARK), ("b.webp", BRIGHT), ("more/c.tif", DARK)):
        gray(value).convert("RGB").save(tmp_path / "photos" / name, lossless=True)
    (tmp_path / "photos" / "bad.jpg").write_text("no image")
    (tmp_path / "photos" / "notes.txt").write_text("no image either")
    return tmp_path / "photos"


def test_a_folder_or_a_pattern_is_classified(
    recorded: Recorded, run: Callable[..., list[str]], photos: Path
) -> None:
    lines = [line for line in run(f"run_id={recorded.color}", "images=photos") if "converted" not in line]
    assert [line.partition("  ")[0] for line in lines[:3]] == [
        "photos/a.png: 어둠",
        "photos/b.webp: bright",
        "photos/more/c.tif: 어둠",
    ]
    assert lines[3:] == ["note: 1 file cannot be read and is left out: photos/bad.jpg"]
    pattern = run(f"run_id={recorded.color}", "images='photos/*.webp'")
    assert [line for line in pattern if "converted" not in line] == lines[1:2]


def test_a_csv_has_a_row_per_image_in_batches(
    recorded: Recorded,
    run: Callable[..., list[str]],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict_files, "BATCH", 2)
    said = run(f"run_id={recorded.color}", "images=photos", "csv=out.csv")
    assert said[0] == "csv: out.csv, 3 images: 어둠 2, bright 1"
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    share = 1 / (1 + np.exp(-2 * (BRIGHT / 127.5 - 1)))
    assert [(row["image"], row["class"]) for row in rows] == [
        ("photos/a.png", "어둠"),
        ("photos/b.webp", "bright"),
        ("photos/more/c.tif", "어둠"),
    ]
    assert list(rows[1]) == ["image", "class", "probability", "p_어둠", "p_bright"]
    numbers = [float(rows[1][name]) for name in ("probability", "p_어둠", "p_bright")]
    assert numbers == pytest.approx([share, 1 - share, share], abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "photos"]


def test_a_csv_of_a_damaged_named_file_is_not_left_half(
    recorded: Recorded, refused: Callable[..., str], photos: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    message = refused(DataError, f"run_id={recorded.color}", "images=[photos,torn.png]", "csv=out.csv")
    assert message.startswith("torn.png cannot be read as an image.")
    assert not [path.name for path in tmp_path.iterdir() if "csv" in path.name]


@pytest.mark.parametrize(
    ("kind", "override", "message"),
    [
        (
            DataError,
            "images=empty",
            "images=empty has no image files (.bmp, .gif, .jfif, .jpeg, .jpg, .png, ",
        ),
        (DataError, "images='*.bmp'", "images=*.bmp has no image files ("),
        (
            DataError,
            "images=broken",
            "None of the 1 files can be read as an image. The first: broken/bad.jpg",
        ),
        (DataError, "images=absent", "The image absent does not exist. Check the path."),
        (
            ConfigError,
            "csv=absent/out.csv",
            "csv needs a file in a folder that can be written, but got absent/out.csv.",
        ),
        (ConfigError, "csv=empty", "csv needs a file in a folder that can be written, but got empty."),
    ],
)
def test_folders_without_images_and_csvs_without_a_place_are_refused(
    recorded: Recorded,
    refused: Callable[..., str],
    tmp_path: Path,
    kind: type[KerasweepError],
    override: str,
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "bad.jpg").write_text("no image")
    gray(DARK).save(tmp_path / "a.png")
    more = [] if "images" in override else ["images=[a.png]"]
    assert refused(kind, f"run_id={recorded.color}", override, *more).startswith(message)


def test_images_are_converted_as_in_the_training(
    recorded: Recorded, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    run_id = recorded.tracker.start("run", {"kind": "run"}, {})
    recorded.tracker.log_model(run_id, brightness_model(1), CLASSES, Conversion("pad", 16))
    recorded.tracker.finish(run_id, State.COMPLETE)
    Image.fromarray(np.full((4, 6), BRIGHT * 16, np.uint16)).save(tmp_path / "deep.png")
    gray(255, (24, 4)).save(tmp_path / "wide.png")  # padded to a quarter white
    deep_line, _, wide_line, _ = run(f"run_id={run_id}", "images=[deep.png,wide.png]")
    assert deep_line.startswith("deep.png: bright ") and wide_line.startswith("wide.png: 어둠 ")
    from mlflow import pyfunc  # whose import warns, unless the tracker did it

    served = pyfunc.load_model(str(find_model(TrackingConf(uri=recorded.uri), run_id)))
    files = [(tmp_path / name).read_bytes() for name in ("deep.png", "wide.png")]
    predicted = served.predict({"image": np.array(files, dtype=object)})
    assert predicted.argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (State.FAILED, "The run {} is failed (no luck): its model is not complete."),
        (None, "The run {} is not finished yet: its model is not complete."),
    ],
)
def test_failed_or_running_run_is_refused(
    recorded: Recorded, refused: Callable[..., str], tmp_path: Path, state: State | None, message: str
) -> None:
    gray(DARK).save(tmp_path / "a.png")
    run_id = recorded.tracker.start("run", {"kind": "run"}, {})
    if state is not None:
        recorded.tracker.finish(run_id, state, "no luck")
    assert refused(TrackingError, f"run_id={run_id}", "images=[a.png]") == message.format(run_id)


def test_run_without_a_model_names_the_best_that_has_one(
    recorded: Recorded, refused: Callable[..., str], tmp_path: Path
) -> None:
    gray(DARK).save(tmp_path / "a.png")
    assert refused(TrackingError, f"run_id={recorded.pruned}", "images=[a.png]") == (
        f"The run {recorded.pruned} has no model: a sweep saves the model of its best trial, "
        "and with tracking.models=all that of every trial. src.rerun trains a run again and saves its model. "
        f"The run {recorded.color} of the same sweep has one."
    )


def test_run_without_a_sweep_names_no_other_run(
    recorded: Recorded, refused: Callable[..., str], tmp_path: Path
) -> None:
    gray(DARK).save(tmp_path / "a.png")
    run_id = recorded.record_model("run", None)
    assert refused(TrackingError, f"run_id={run_id}", "images=[a.png]").endswith("saves its model.")


def test_model_that_cannot_be_loaded_is_named(
    recorded: Recorded, refused: Callable[..., str], tmp_path: Path
) -> None:
    gray(DARK).save(tmp_path / "a.png")
    run_id, folder = recorded.record_alone()
    (folder / "data" / "model.keras").write_bytes(b"not a model")
    message = refused(TrackingError, f"run_id={run_id}", "images=[a.png]")
    assert message.startswith(f"The model of run {run_id} cannot be loaded: ")


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_model_is_refused_and_its_code_not_run(
    kind: str,
    recorded: Recorded,
    refused: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gray(DARK).save(tmp_path / "a.png")
    run_id, folder = recorded.record_alone()
    save, keras_reason = HOSTILE[kind]
    reason = {"foreign class": "it needs Hostile of hostile_module"}.get(kind, keras_reason)
    save(folder / "data" / "model.keras", tmp_path / "marker")
    monkeypatch.syspath_prepend(tmp_path)
    message = refused(TrackingError, f"run_id={run_id}", "images=[a.png]")
    assert message.startswith(f"The model of run {run_id} cannot be loaded: {reason}")
    assert not (tmp_path / "marker").exists()


def test_code_in_the_models_folder_is_not_run(
    recorded: Recorded, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    gray(BRIGHT).save(tmp_path / "a.png")
    run_id, folder = recorded.record_alone()
    modules = list(folder.glob("code/*/*.py"))
    for module in modules:
        module.write_text(f"open({str(tmp_path / 'marker')!r}, 'w').close()\n")
    (line,) = run(f"run_id={run_id}", "images=a.png")
    assert line.startswith("a.png: bright ")
    assert len(modules) == 4 and not (tmp_path / "marker").exists()


@pytest.mark.parametrize("shape", [(4, 6, 2), (4, 6, 4), (None, None, 1), (8,)])
def test_model_that_takes_no_image_files_is_named(
    recorded: Recorded, refused: Callable[..., str], tmp_path: Path, shape: tuple[int | None, ...]
) -> None:
    gray(DARK).save(tmp_path / "a.png")
    pixels = keras.Input(shape)
    run_id = recorded.record_model("run", keras.Model(pixels, keras.layers.Activation("relu")(pixels)))
    assert refused(TrackingError, f"run_id={run_id}", "images=[a.png]") == (
        f"src.predict makes grayscale or RGB images of one size, but the model of run {run_id} takes "
        f"{shape}. Call it from Python: mlflow.keras.load_model('runs:/{run_id}/model')."
    )


def test_unknown_run_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    gray(DARK).save(tmp_path / "a.png")
    message = refused(TrackingError, f"run_id={'0' * 32}", "images=[a.png]")
    assert message.startswith(f"No run {'0' * 32} in the experiment kerasweep of ")


@pytest.mark.parametrize(
    ("kind", "overrides", "message"),
    [
        (
            ConfigError,
            ["images=[a.png]"],
            "run_id needs the id of a recorded run: python -m src.compare shows them.",
        ),
        (
            ConfigError,
            ["run_id=abcdef", "registered_model=models:/digits@champion", "images=[a.png]"],
            "Give run_id or model, but not both: got run_id=abcdef model=models:/digits@champion.",
        ),
        (
            ConfigError,
            ["registered_model=digits", "images=[a.png]"],
            "model needs an address in MLflow's registry, as in model=models:/digits@champion, but got "
            "digits. A run is named by run_id.",
        ),
        (ConfigError, ["run_id=abcdef"], "images needs one file or more, as in images=[digit.png]."),
        (
            ConfigError,
            ["run_id=abcdef", "images=null"],
            "images needs one file or more, as in images=[digit.png].",
        ),
        (
            ConfigError,
            ["run_id=abcdef", "images=[a.png]", "top=0"],
            "top must be at least 1, but got 0. It is how many classes are shown.",
        ),
        (
            DataError,
            ["run_id=abcdef", "images=[absent.png]"],
            "The image absent.png does not exist. Check the path.",
        ),
        (
            DataError,
            ["run_id=abcdef", "images=[bad.png]"],
            "bad.png cannot be read as an image. "
            "Save it again as PNG, JPEG, WEBP, TIFF, BMP or GIF, or leave it out.",
        ),
        (
            DataError,
            ["run_id=abcdef", "images=[torn.png]"],
            "torn.png cannot be read as an image. "
            "Save it again as PNG, JPEG, WEBP, TIFF, BMP or GIF, or leave it out.",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    refused: Callable[..., str],
    tmp_path: Path,
    kind: type[KerasweepError],
    overrides: list[str],
    message: str,
) -> None:
    (tmp_path / "bad.png").write_text("no image")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    assert refused(kind, *overrides) == message


def test_command_refuses_in_one_line_and_reads_an_id_as_text(recorded: Recorded, tmp_path: Path) -> None:
    gray(DARK).save(tmp_path / "a.png")
    ended = processes.run(
        tmp_path, "predict", "run_id=123e456", "images=[a.png]", MLFLOW_TRACKING_URI=recorded.uri
    )
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: No run 123e456 in the experiment kerasweep of ")
    assert len(ended.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_command_reads_an_address_of_the_registry(recorded: Recorded, tmp_path: Path) -> None:
    gray(DARK).save(tmp_path / "a.png")
    ended = processes.run(
        tmp_path,
        "predict",
        "model=models:/absent@champion",
        "images=[a.png]",
        MLFLOW_TRACKING_URI=recorded.uri,
    )
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"error: MLflow at {recorded.uri} says: Registered Model with name=absent not found.\n"
    )

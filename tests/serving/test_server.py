"""MLflow's own commands serve a recorded model where kerasweep is not installed."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.keras_model import download_model, find_model
from kerasweep.tracking.writer import open_tracker
from tests import processes

CLASSES = ["cat", "dog"]
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)
EXPECTED = "Expected whole numbers from 0 to 255 of the shape (images, 4, 6, 3), but "
open_url = build_opener(ProxyHandler({})).open


@dataclass(frozen=True)
class Recorded:
    """A run with a model that is registered, and the environment of MLflow's commands."""

    uri: str
    run_id: str
    model: keras.Model
    environment: dict[str, str]


@pytest.fixture(scope="module")
def recorded(copy_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("served")
    uri = f"sqlite:///{copy_database(folder)}"
    tracker = open_tracker(TrackingConf(uri=uri))
    run_id = tracker.start("run", {"kind": "run"}, {})
    keras.utils.set_random_seed(1)
    layers = [keras.Input((4, 6, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3)]
    model = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
    tracker.log_model(run_id, model, CLASSES)
    client = mlflow.MlflowClient(uri)
    client.create_registered_model("digits")
    source = f"models:/{client.get_run(run_id).outputs.model_outputs[0].model_id}"
    version = client.create_model_version("digits", source, run_id)
    client.set_registered_model_alias("digits", "champion", version.version)
    package = folder / "not_installed" / "kerasweep"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('kerasweep is not installed here')\n")
    environment = processes.environment(
        MLFLOW_TRACKING_URI=uri,
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        PYTHONPATH=str(package.parent),
    )
    return Recorded(uri, run_id, model, environment)


def models_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mlflow", "models", *arguments, "--env-manager", "local"]


@pytest.fixture(scope="module")
def server(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves the registered model; returns the server's address."""
    log, port = tmp_path_factory.mktemp("server") / "log", processes.free_port()
    address = ("-h", "127.0.0.1", "-p", str(port))
    command = models_command("serve", "-m", "models:/digits@champion", *address)
    with processes.served(command, port, log, recorded.environment):
        yield f"http://127.0.0.1:{port}"


def post(server: str, body: Any) -> tuple[int, Any]:
    """Sends JSON and returns the status with what is answered."""
    request = Request(
        f"{server}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with open_url(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def encoded(pixels: np.ndarray) -> str:
    """Returns an image file as MLflow documents it for JSON."""
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


FILES = [encoded(pixels) for pixels in PIXELS]
ROWS = [{"image": file} for file in FILES]
BODIES = {
    "inputs": {"inputs": PIXELS.tolist()},
    "instances": {"instances": PIXELS.tolist()},
    "named inputs": {"inputs": {"image": PIXELS.tolist()}},
    "named instances": {"instances": [{"image": pixels} for pixels in PIXELS.tolist()]},
    "files in dataframe_split": {
        "dataframe_split": {"columns": ["image"], "data": [[file] for file in FILES]}
    },
    "files in dataframe_records": {"dataframe_records": ROWS},
    "files in inputs": {"inputs": FILES},
    "files in instances": {"instances": ROWS},
}


@pytest.mark.parametrize("form", BODIES)
def test_each_form_of_a_batch_is_answered(form: str, server: str, recorded: Recorded) -> None:
    status, answer = post(server, BODIES[form])
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], recorded.model(PIXELS), atol=1e-6)


@pytest.mark.parametrize("image", [PIXELS[0].tolist(), FILES[0]], ids=["pixels", "file"])
def test_one_image_is_a_batch_of_one(image: Any, server: str, recorded: Recorded) -> None:
    status, answer = post(server, {"inputs": [image]})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], recorded.model(PIXELS[:1]), atol=1e-6)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"inputs": PIXELS[0].tolist()}, f"{EXPECTED}got the shape (4, 6, 3)."),
        ({"inputs": np.full((1, 4, 6, 3), "7").tolist()}, f"{EXPECTED}got values that are not numbers."),
        (
            {"inputs": np.full((1, 4, 6, 3), 300.0).tolist()},
            f"{EXPECTED}got values from 300 to 300. Send raw pixels: the model scales them itself.",
        ),
        (
            {"instances": (PIXELS / 255).tolist()},
            f"{EXPECTED}got values from 0 to 1. Send raw pixels: the model scales them itself.",
        ),
        (
            {"dataframe_records": [*ROWS, {"image": "text"}]},
            "Image 4 of 4 cannot be decoded. Expected a PNG, JPEG, WEBP, TIFF, BMP or GIF file, in JSON as "
            "base64 text.",
        ),
    ],
)
def test_other_input_is_refused_and_the_server_goes_on(body: Any, said: str, server: str) -> None:
    status, answer = post(server, body)
    assert (status, answer["message"].rpartition("Error: ")[2]) == (400, said)
    assert post(server, BODIES["inputs"])[0] == 200


def test_python_sends_pixels_or_a_column_of_files(recorded: Recorded) -> None:
    mlflow.set_tracking_uri(recorded.uri)
    loaded = mlflow.pyfunc.load_model(f"runs:/{recorded.run_id}/model")
    files = pd.DataFrame({"image": [base64.b64decode(file) for file in FILES]})
    for images in (PIXELS, files):
        np.testing.assert_allclose(loaded.predict(images), recorded.model(PIXELS), atol=1e-6)


def test_model_of_a_run_predicts_a_file_of_json(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text(json.dumps(BODIES["inputs"]))
    files = ("-i", str(tmp_path / "input.json"), "-o", str(tmp_path / "output.json"))
    command = models_command("predict", "-m", f"runs:/{recorded.run_id}/model", *files)
    subprocess.run(command, env=recorded.environment, check=True, capture_output=True)
    answer = json.loads((tmp_path / "output.json").read_text())
    np.testing.assert_allclose(answer["predictions"], recorded.model(PIXELS), atol=1e-6)


def test_dockerfile_comes_with_the_model_its_code_and_its_packages(
    recorded: Recorded, tmp_path: Path
) -> None:
    command = models_command("generate-dockerfile", "-m", "models:/digits@champion", "-d", str(tmp_path))
    subprocess.run(command, env=recorded.environment, check=True, capture_output=True)
    assert "COPY model_dir /opt/ml/model\n" in (tmp_path / "Dockerfile").read_text()
    folder = tmp_path / "model_dir"
    module = mlflow.models.Model.load(str(folder)).flavors["python_function"]["loader_module"]
    assert (folder / "code" / Path(*module.split("."))).with_suffix(".py").exists()
    assert (folder / "data" / "model.keras").exists()
    packages = [line.partition("==")[0] for line in (folder / "requirements.txt").read_text().split()]
    assert packages == ["mlflow", "keras", "tensorflow", "numpy", "pillow"]


def test_keras_loads_the_model_without_kerasweep(recorded: Recorded, tmp_path: Path) -> None:
    tracking = TrackingConf(uri=recorded.uri)
    path, names = download_model(tracking, str(find_model(tracking, recorded.run_id)), tmp_path)
    mlflow.set_tracking_uri(recorded.uri)
    by_mlflow = mlflow.keras.load_model(f"runs:/{recorded.run_id}/model")
    for loaded in (keras.models.load_model(path), by_mlflow):
        np.testing.assert_array_equal(loaded(PIXELS), recorded.model(PIXELS))
    assert names == CLASSES

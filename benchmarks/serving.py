"""Measures requests of one image a second, of a recorded model and of MLflow's own Keras flavor.

python -m benchmarks serving      writes the table of docs/winner.md (5 minutes)
"""

import base64
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
from PIL import Image

from benchmarks.page import machine, publish
from benchmarks.race import environment
from kerasweep.config.search import TrackingConf
from kerasweep.tracking.writer import open_tracker

PAGE = Path(__file__).resolve().parents[1] / "docs" / "winner.md"
SHAPES = ((8, 8, 1), (32, 32, 3))
OURS, STOCK = "kerasweep", "mlflow.keras"
WAYS = {
    "pyfunc": "`pyfunc.load_model(…).predict`",
    "pixels": "HTTP, pixels in JSON",
    "file": "HTTP, a PNG file in base64",
}
START_SECONDS = 300

Ask = Callable[[], Any]
# Requests a second of each repeat, by shape, way and flavor.
Rates = dict[tuple[tuple[int, ...], str, str], list[float]]


def run(repeats: int, requests: int = 60) -> None:
    """Asks both flavors in turns, and publishes the median rates."""
    rates: Rates = {}
    keras.utils.disable_interactive_logging()  # model.predict prints a bar
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        for shape in SHAPES:
            addresses = record(uri, shape)
            image = np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8)
            with ExitStack() as stack:
                ways = {"pyfunc": asks_of_pyfunc(addresses, image)}
                servers = {name: stack.enter_context(serve(uri, where)) for name, where in addresses.items()}
                pixels = {"inputs": image.tolist()}
                ways["pixels"] = {name: ask_server(wait(port), pixels) for name, port in servers.items()}
                ways["file"] = {OURS: ask_server(servers[OURS], {"inputs": [encode(image[0])]})}
                for way, asks in ways.items():
                    check(list(asks.values()), ways["pyfunc"][STOCK]())
                    for _ in range(repeats):
                        for name, rate in alternate(asks, requests).items():
                            rates.setdefault((shape, way, name), []).append(rate)
    table = table_of(rates)
    publish(
        "serving",
        f"{table}\n\nRequests of one image a second: medians (ranges) of {repeats} repeats of {requests} "
        f"requests, both asked in turns; {machine()}.",
        PAGE,
    )
    print(table)


def record(uri: str, shape: tuple[int, int, int]) -> dict[str, str]:
    """Records the default network with both flavors; returns where each model is."""
    model = network(shape)
    tracker = open_tracker(TrackingConf(uri=uri))
    run_id = tracker.start("served", {}, {})
    tracker.log_model(run_id, model, [str(number) for number in range(10)])
    signature = mlflow.models.infer_signature(np.zeros((1, *shape), np.uint8), np.zeros((1, 10), np.float32))
    with mlflow.start_run(run_id):
        stock = mlflow.keras.log_model(model, name="stock", signature=signature, pip_requirements=["keras"])
    return {OURS: f"runs:/{run_id}/model", STOCK: stock.model_uri}


def network(shape: tuple[int, int, int]) -> keras.Model:
    """Returns a network of two blocks that reads raw pixels."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input(shape), keras.layers.Rescaling(1 / 255)]
    for filters in (16, 32):
        layers += [keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)]
        layers += [keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.MaxPooling2D()]
    return keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])


def asks_of_pyfunc(addresses: Mapping[str, str], image: np.ndarray) -> dict[str, Ask]:
    """Loads the models into this process; returns a function for each that predicts the image."""
    loaded = {name: mlflow.pyfunc.load_model(where) for name, where in addresses.items()}
    return {name: lambda model=model: model.predict(image) for name, model in loaded.items()}


@contextmanager
def serve(uri: str, where: str) -> Iterator[int]:
    """Starts `mlflow models serve` and returns its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", where, "--env-manager", "local"]
    server = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)],
        env={**environment(), "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        server.terminate()  # the kernel then ends the process that answers
        server.wait()


def wait(port: int) -> int:
    """Returns the port once its server answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/ping")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return port
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def encode(pixels: np.ndarray) -> str:
    """Returns a PNG file as text."""
    content = BytesIO()
    Image.fromarray(pixels.squeeze()).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def ask_server(port: int, request: Any) -> Ask:
    """Returns a function that sends JSON over one connection, and returns the probabilities."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps(request)

    def ask() -> np.ndarray:
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        return np.asarray(json.load(connection.getresponse())["predictions"])

    return ask


def check(asks: Sequence[Ask], expected: np.ndarray) -> None:
    """Asks each once, which warms it up. Raises AssertionError if an answer differs."""
    for ask in asks:
        np.testing.assert_allclose(ask(), expected, atol=1e-6)


def alternate(asks: Mapping[str, Ask], requests: int) -> dict[str, float]:
    """Returns each flavor's requests a second."""
    seconds = dict.fromkeys(asks, 0.0)
    for number in range(requests):
        for name in (*asks,) if number % 2 else reversed((*asks,)):
            began = time.perf_counter()
            asks[name]()
            seconds[name] += time.perf_counter() - began
    return {name: requests / spent for name, spent in seconds.items()}


def table_of(rates: Rates) -> str:
    """Returns a Markdown table, with kerasweep's ratios to MLflow's flavor."""
    lines = ["| one image | way | mlflow.keras | kerasweep | × |", "| --- | --- | --- | --- | --- |"]
    for shape, way in dict.fromkeys((shape, way) for shape, way, _ in rates):
        ours, stock = rates[shape, way, OURS], rates.get((shape, way, STOCK))
        ratio = f"{statistics.median(ours) / statistics.median(stock):.1f}" if stock else "–"
        others = _spread(stock) if stock else "not possible"
        lines.append(f"| {'×'.join(map(str, shape))} | {WAYS[way]} | {others} | {_spread(ours)} | {ratio} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}–{max(values):.0f})"

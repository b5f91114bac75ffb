"""Saves `.keras` files that would run code of their own, which leaves a marker file."""

import json
from pathlib import Path
from zipfile import ZipFile

import keras


def save_lambda(file: Path, marker: Path) -> None:
    """Saves a model whose Lambda layer carries bytecode."""
    source = f"lambda pixels: (open({str(marker)!r}, 'w').close(), pixels)[1]"
    layers = [keras.Input((4, 6, 1)), keras.layers.Lambda(eval(source)), keras.layers.Flatten()]
    keras.Sequential([*layers, keras.layers.Dense(2)]).save(file)
    marker.unlink()


def save_foreign_class(file: Path, marker: Path) -> None:
    """Saves a model with a layer from a module that writes the marker when it is imported."""
    (marker.parent / "hostile_module.py").write_text(
        f"import keras\nopen({str(marker)!r}, 'w').close()\nclass Hostile(keras.layers.Flatten): pass\n"
    )
    keras.Sequential([keras.Input((4, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]).save(file)
    with ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    (flatten,) = (each for each in config["config"]["layers"] if each["class_name"] == "Flatten")
    flatten |= {"module": "hostile_module", "class_name": "Hostile", "registered_name": "Hostile"}
    parts["config.json"] = json.dumps(config).encode()
    with ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


# How each is saved, and how Keras refuses it.
HOSTILE = {
    "lambda": (save_lambda, "Requested the deserialization of a `Lambda` layer"),
    "foreign class": (
        save_foreign_class,
        "<class 'keras.src.models.sequential.Sequential'> could not be deserialized",
    ),
}

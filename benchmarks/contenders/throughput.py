"""Images a second of one network: THIS.py stock|program IMAGES OUTPUT.

stock: Keras's own network and model.fit on NumPy arrays. program: kerasweep's. The first epoch, which is
traced, is not timed.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

BATCH, EPOCHS = 64, 3
FILTERS = (16, 32, 64)


def main():
    how, count, output = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, count)
    train = stock(images, labels) if how == "stock" else program(images, labels)
    train(1)
    began, cpu = time.perf_counter(), time.process_time()
    train(EPOCHS)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    count *= EPOCHS
    Path(output).write_text(json.dumps({"second": count / seconds, "cpu_second": count / cpu_seconds}))


def stock(images, labels):
    import keras

    layers = [keras.Input((32, 32, 3))]
    for filters in FILTERS:
        layers += [
            keras.layers.Conv2D(filters, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.MaxPooling2D(2),
        ]
    model = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    scaled = (images / 255).astype("float32")
    return lambda epochs: model.fit(scaled, labels, batch_size=BATCH, epochs=epochs, verbose=0)


def program(images, labels):
    from hydra import compose, initialize_config_module

    from src.config import register
    from src.data.prepare import Part, Prepared
    from src.data.scaling import Scaling
    from src.trial.network import Network

    register()
    overrides = [f"model.filters={list(FILTERS)}", f"training.batch_size={BATCH}"]
    with initialize_config_module("conf", version_base="1.3"):
        cfg = compose("train", overrides)
    part, classes = Part(images, labels), tuple(map(str, range(10)))
    data = Prepared(part, part, part, Scaling((1 / 255,), (0.0,)), classes, "random", (32, 32, 3))
    network = Network(cfg, data)
    rates = [0.001] * network.steps_per_epoch

    def train(epochs):
        for epoch in range(epochs):
            network.train_steps(epoch, rates)

    return train


main()

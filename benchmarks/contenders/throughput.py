"""Measures the images per second of a network: THIS.py CONTENDER PROCESSES IMAGES FILTERS OUTPUT.

numpy: Keras's network and model.fit on NumPy arrays. dataset: the same from tf.data, cached and prefetched,
with an epoch per call. onednn: the same with kerasweep's choice of oneDNN. program: kerasweep's program. A
single process has as many threads as TensorFlow chooses; several have one each, like the workers of a sweep.
They start together after the first epoch, which is traced and not timed.
"""

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import numpy as np

BATCH, EPOCHS = 64, 3
MAX_SECONDS = 600
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def main():
    contender, output = sys.argv[1], sys.argv[5]
    processes, images = int(sys.argv[2]), int(sys.argv[3])
    filters = json.loads(sys.argv[4])
    if processes > 1:
        os.environ.update(dict.fromkeys(THREADS, "1"))
    context = multiprocessing.get_context("forkserver")
    barrier, found = context.Barrier(processes, timeout=MAX_SECONDS), context.Queue()
    task = (contender, images, filters, barrier, found)
    started = [context.Process(target=measure, args=task) for _ in range(processes)]
    for process in started:
        process.start()
    times = [found.get(timeout=MAX_SECONDS) for _ in started]
    for process in started:
        process.join()
    count = images * EPOCHS
    second = sum(count / seconds for seconds, _ in times)
    cpu_second = count * processes / sum(cpu for _, cpu in times)
    Path(output).write_text(json.dumps({"second": second, "cpu_second": cpu_second}))


def measure(contender, count, filters, barrier, found):
    """Trains, and reports the seconds and the CPU-seconds that it took."""
    if contender == "onednn":
        from kerasweep.training.onednn import set_onednn

        set_onednn()
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, count)
    train = MAKERS[contender](images, labels, filters)
    train(1)
    barrier.wait()
    began, cpu = time.perf_counter(), time.process_time()
    train(EPOCHS)
    found.put((time.perf_counter() - began, time.process_time() - cpu))


def from_numpy(images, labels, filters):
    model = keras_network(filters)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    scaled = (images / 255).astype("float32")
    return lambda epochs: model.fit(scaled, labels, batch_size=BATCH, epochs=epochs, verbose=0)


def from_dataset(images, labels, filters):
    import tensorflow as tf

    model = keras_network(filters)
    dataset = tf.data.Dataset.from_tensor_slices(((images / 255).astype("float32"), labels)).cache()
    dataset = dataset.shuffle(len(labels)).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=len(dataset)
    )
    return lambda epochs: model.fit(dataset, epochs=epochs, verbose=0)


def keras_network(filters):
    import keras

    layers = [keras.Input((32, 32, 3))]
    for number in filters:
        layers += [
            keras.layers.Conv2D(number, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.MaxPooling2D(2),
        ]
    return keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])


def program(images, labels, filters):
    from hydra import compose, initialize_config_dir

    from kerasweep.config import register
    from kerasweep.config.folders import config_folder
    from kerasweep.data.prepare import Part, Prepared
    from kerasweep.data.scaling import Scaling
    from kerasweep.trial.network import build_network

    register()
    overrides = [f"model.filters={filters}", f"training.batch_size={BATCH}"]
    with initialize_config_dir(config_folder("conf"), version_base="1.3"):
        cfg = compose("train", overrides)
    part, classes = Part(images, labels), tuple(map(str, range(10)))
    data = Prepared(
        part, part, part, Scaling((1 / 255,), (0.0,)), classes, "random", (32, 32, 3), labels == 0
    )
    network = build_network(cfg, data)
    rates = [0.001] * network.steps_per_epoch

    def train(epochs):
        for epoch in range(epochs):
            network.train_steps(epoch, rates)

    return train


MAKERS = {"numpy": from_numpy, "dataset": from_dataset, "onednn": from_dataset, "program": program}

if __name__ == "__main__":
    main()

"""Trains on photographs, and times each epoch: THIS.py CONTENDER FOLDER OUTPUT.

cached: Keras's image_dataset_from_directory, cached in a file and prefetched. uint8: the same with whole
numbers in the cache. decoded: without a cache, so every epoch decodes. program: kerasweep's program, which
reads from its cache as it does with more images than fit into memory. All train the same network, so small
that the images decide how fast it is. In the first epoch the files are listed and decoded, and the network is
traced.
"""

import json
import re
import sys
import time
from pathlib import Path

from kerasweep.training.onednn import set_onednn
from kerasweep.training.runtime import import_tensorflow

BATCH, EPOCHS, SIZE = 64, 4, 224


def main():
    contender, folder, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if contender == "program":
        import_tensorflow()
    else:
        set_onednn()
        import tensorflow  # noqa: F401

    images = sum(1 for _ in (folder / "train").glob("*/*.jpg"))
    imported = peak_mb()
    began, seconds = time.perf_counter(), []
    train = MAKERS[contender](folder)
    for epoch in range(EPOCHS):
        train(epoch)
        if not epoch:
            cpu = time.process_time()
        ended = time.perf_counter()
        seconds.append(ended - began)
        began = ended
    later = images * (EPOCHS - 1) / sum(seconds[1:])
    cpu_later = images * (EPOCHS - 1) / (time.process_time() - cpu)
    found = {"first": images / seconds[0], "later": later, "cpu_later": cpu_later}
    found["mb"] = peak_mb() - imported
    output.write_text(json.dumps(found))


def peak_mb():
    """Returns the largest resident memory of this process so far, mapped files among it, on Linux.

    That of getrusage would count the process that started this one.
    """
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 2**10


def network(input_shape, num_classes):
    import keras

    layers = [
        keras.layers.Conv2D(8, 4, strides=16, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(num_classes, activation="softmax"),
    ]
    return keras.Sequential([keras.Input(input_shape), *layers])


def cached(folder):
    return fitted(dataset(folder).cache("cache"))


def uint8(folder):
    import tensorflow as tf

    small = dataset(folder).map(lambda images, labels: (tf.cast(images, tf.uint8), labels))
    return fitted(small.cache("cache"))


def decoded(folder):
    return fitted(dataset(folder))


def dataset(folder):
    import keras

    return keras.utils.image_dataset_from_directory(
        folder / "train", image_size=(SIZE, SIZE), batch_size=BATCH, seed=0, verbose=False
    )


def fitted(images):
    import keras
    import tensorflow as tf

    images = images.prefetch(tf.data.AUTOTUNE)
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), network((SIZE, SIZE, 3), 10)])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lambda epoch: model.fit(images, epochs=1, verbose=0)


def program(folder):
    from hydra import compose, initialize_config_dir

    from kerasweep.config import register
    from kerasweep.config.folders import config_folder
    from kerasweep.data import feeds
    from kerasweep.data.prepare import load_prepared
    from kerasweep.trial.network import build_network

    feeds.MAX_SHARE_OF_MEMORY = 0.0
    register()
    overrides = ["data=image_folder", f"data.path={folder}", f"data.cache_dir={Path('cache').absolute()}"]
    target = ["model=custom", "model.target=benchmarks.contenders.photographs:network"]
    with initialize_config_dir(config_folder("conf"), version_base="1.3"):
        cfg = compose("train", [*overrides, *target, f"training.batch_size={BATCH}"])
    network = build_network(cfg, load_prepared(cfg.data))
    rates = [0.001] * network.steps_per_epoch
    return lambda epoch: network.train_steps(epoch, rates)


MAKERS = {"cached": cached, "uint8": uint8, "decoded": decoded, "program": program}

if __name__ == "__main__":
    main()

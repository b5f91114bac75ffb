"""Prints the CPU-seconds of some hundred steps of two small networks, for `kerasweep.training.onednn`."""

import time

import numpy as np

from kerasweep.config.data import AugmentConf
from kerasweep.config.model import InitializerConf, ModelConf, RegularizerConf
from kerasweep.config.training import AdamConf
from kerasweep.data.feeds import InMemory
from kerasweep.data.prepare import Part
from kerasweep.data.scaling import Scaling
from kerasweep.model.adjustable import AdjustableParts
from kerasweep.model.build import build_model
from kerasweep.training.program import Program

SCALING = Scaling((1 / 255,), (0.0,))
# Filters, the side of the images, channels, steps, and the size of a batch.
TRAININGS = (((16, 32), 8, 1, 200, 32), ((16, 32, 64), 32, 3, 20, 64))
ROUNDS = 3


def main() -> None:
    print(sum(_cpu_seconds(*training) for training in TRAININGS))


def _cpu_seconds(filters: tuple[int, ...], side: int, channels: int, steps: int, batch: int) -> float:
    """The fastest of ROUNDS: what disturbs one only makes it slower."""
    model = ModelConf("cnn", filters=list(filters))
    parts, optimizer = AdjustableParts(), AdamConf("adam")
    network = build_model(model, parts, (side, side, channels), 10)
    parts.begin(network, model, InitializerConf("he_normal"), RegularizerConf("none"), seed=0)
    program = Program(network, parts, optimizer, "sparse", AugmentConf(), jit_compile=False)
    generator, count = np.random.default_rng(0), steps * batch
    images = generator.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    feed = InMemory(Part(images, generator.integers(0, 10, count)))
    rounds = []
    for epoch in range(1 + ROUNDS):
        began = time.process_time()
        program.train(feed, SCALING, np.arange(count), batch, 0, epoch, [0.001] * steps)
        rounds.append(time.process_time() - began)
    return min(rounds[1:])


if __name__ == "__main__":
    main()

"""Trains the grid in a loop around model.fit, without any tool."""

import keras
from task import arguments, build, fit, grid, write


def main():
    data, output = arguments()
    found = []
    for trial in grid(data):
        keras.backend.clear_session()
        keras.utils.set_random_seed(trial["seed"])
        found.append(max(fit(build(data, trial), data, trial["batch_size"])))
    write(output, found)


main()

"""Trains the grid in a loop around model.fit, without any tool."""

import keras
from task import arguments, fit, grid, network, write


def main():
    data, output = arguments()
    found = []
    for kernel_size, batch_size, regularizer, initializer, seed in grid(data):
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        model = network(kernel_size, regularizer, initializer, filters=data["filters"])
        found.append(max(fit(model, data, batch_size)))
    write(output, found)


main()

"""Trains one network with Keras alone, to compare with `python -m src.train training.epochs=1`."""

import keras
from task import arguments, fit, network


def main():
    data, output = arguments()
    keras.utils.set_random_seed(0)
    model = network(3, "none", "glorot_uniform", filters=data["filters"])
    output.write_text(str(fit(model, data | {"epochs": 1}, 32)))
    print(model.evaluate(data["x_validation"], data["y_validation"], verbose=0))


main()

"""The code that each recorded model carries, so that MLflow serves it where kerasweep is not installed.

It imports nothing of kerasweep: `tracking/keras_flavor.py` copies these files into the model's folder.
"""

INPUT = "image"  # the name of the input, of a column or of a key in JSON

"""The source root: `python -m src.train` and its like in a checkout. The package is `kerasweep`."""

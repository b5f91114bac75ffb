"""The source root, for `python -m src.train` in a checkout. The package is `kerasweep`."""

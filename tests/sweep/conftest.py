"""Imports the fixtures of `tests/searches.py`: sweeps over numbers."""

from tests.searches import search, space_of, sweep_of

__all__ = ["search", "space_of", "sweep_of"]

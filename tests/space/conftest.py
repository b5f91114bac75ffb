"""A search over numbers, see `tests/searches.py`."""

from tests.searches import search, space_of, sweep_of

__all__ = ["search", "space_of", "sweep_of"]

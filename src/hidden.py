"""Hides packages from others that would import them for nothing."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def packages_hidden(names: Sequence[str]) -> Iterator[None]:
    """Have packages appear as missing to what is imported meanwhile. What is imported already stays."""
    chosen = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(chosen))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in chosen:
            del sys.modules[name]

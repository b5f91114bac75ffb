"""The examples in docstrings print what they show."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((SOURCE / "kerasweep").rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_print_what_they_show(module: str) -> None:
    results = doctest.testmod(import_module(module))
    assert results.attempted > 0
    assert results.failed == 0


def test_every_public_name_has_an_example() -> None:
    import kerasweep

    examples = doctest.DocTestFinder().find(kerasweep, globs={}) + [
        each
        for name in kerasweep.__all__
        for each in doctest.DocTestFinder().find(getattr(kerasweep, name), name)
    ]
    with_example = {each.name.partition(".")[0] for each in examples if each.examples}
    assert {"kerasweep", *kerasweep.__all__} <= with_example

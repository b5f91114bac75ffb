"""Messages suggest the name that was meant, and shorten those of other libraries."""

import pytest

from kerasweep.errors import ConfigError, first_line, suggestion

KNOWN = ["model.kernel_size", "training.batch_size", "data.seed", "training.seed", "optimizer"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.kernel_sise", "Did you mean model.kernel_size?"),
        ("kernelsize", "Did you mean model.kernel_size?"),
        ("seed", "Did you mean data.seed or training.seed?"),
        ("optimiser", "Did you mean optimizer?"),
        ("xyz", ""),
    ],
)
def test_suggests_a_similar_name(name: str, said: str) -> None:
    assert suggestion(name, KNOWN) == said


def test_without_a_similar_name_gives_the_other_text() -> None:
    assert suggestion("xyz", KNOWN, "Name a key.") == "Name a key."
    assert suggestion("seed", [], "Name a key.") == "Name a key."


def test_first_line_of_an_error_has_no_end() -> None:
    assert first_line(ValueError("\nno such layer:\n  dense_9")) == "no such layer"
    assert first_line(ConfigError("Write it so. Or so.")) == "Write it so. Or so"
    caused = ValueError()
    assert first_line(caused) == "ValueError"
    caused.__cause__ = KeyError("dense")
    assert first_line(caused) == "'dense'"

"""For a misspelt name, the error suggests the name that was meant."""

import pytest

from kerasweep.errors import suggestion

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

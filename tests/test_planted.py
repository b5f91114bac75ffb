"""Each planted bug changes one place of today's code."""

import pytest

from tests.planted.__main__ import ROOT, Bug, read_bugs


@pytest.mark.parametrize("bug", read_bugs([]), ids=lambda bug: f"{bug.file}: {bug.find[:40]!r}")
def test_a_planted_bug_has_its_place_and_its_tests(bug: Bug) -> None:
    assert (ROOT / "src/kerasweep" / bug.file).read_text().count(bug.find) == 1
    files = [part.partition("::")[0] for part in bug.tests.split() if part.startswith("tests/")]
    assert files and all((ROOT / file).exists() for file in files)

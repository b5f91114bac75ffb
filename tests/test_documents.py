"""The pages for developers name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "kerasweep"


def test_architecture_names_existing_files() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|html))`", text))
    assert len(paths) > 40
    assert sorted(path for path in paths if not ((PACKAGE / path).exists() or (ROOT / path).exists())) == []


def test_architecture_names_existing_functions_and_constants() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)` in\s+`([\w/]+\.py)`", text)
    assert len(named) > 4
    for name, path in named:
        assert re.search(rf"\b{name}\b", (PACKAGE / path).read_text(encoding="utf-8")), (name, path)


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("docs/*.md")) + [ROOT / "README.md"], ids=lambda page: page.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_maps_every_room() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rooms = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    assert len(rooms) > 10
    assert [room for room in rooms if f"    {room}/" not in text] == []

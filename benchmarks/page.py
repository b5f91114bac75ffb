"""Writes a benchmark's section of docs/benchmarks.md."""

import re
import subprocess
from datetime import date
from importlib.metadata import version
from pathlib import Path

from kerasweep.workers.machine import usable_cores

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
PACKAGES = ("tensorflow", "keras", "mlflow", "optuna", "hydra-core", "numpy")
INTRODUCTION = """# Benchmarks

The command in a section's comment writes that section, and names its machine. Times on a shared machine vary,
so contenders take turns, and ratios are more reliable than seconds.
"""


def publish(name: str, section: str, page: Path | None = None) -> None:
    """Replaces the section that the same benchmark wrote before, or appends a new one.

    Args:
        name: The benchmark.
        section: The text in Markdown.
        page: The file; None for docs/benchmarks.md.
    """
    page = page or PAGE
    text = page.read_text() if page.exists() else INTRODUCTION
    begin, end = f"<!-- python -m benchmarks {name} -->", f"<!-- end of {name} -->"
    block = f"{begin}\n\n{section.strip()}\n\n{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    is_there = bool(pattern.search(text))
    page.write_text(pattern.sub(lambda _: block, text) if is_there else f"{text.rstrip()}\n\n{block}\n")


def machine() -> str:
    """Describes this machine: processor, cores, versions, and the date."""
    held = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"{_processor()}, {usable_cores()} cores; {held}; {date.today().isoformat()}"


def _processor() -> str:
    told = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Model name:\s*(.+)", told)
    return found[1].strip() if found else "unknown processor"

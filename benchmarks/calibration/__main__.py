"""Simulates studies whose truth is known, and counts how often the reports are wrong.

python -m benchmarks.calibration [PART …] [--studies N]     writes these parts of docs/calibration.md, or all

The parts are verdicts, effects, samplers and rankings. Every simulated study goes the way of a real one:
histories of epochs are scored by `cross_fitted`, runs with their params and tags are grouped, ranked and
judged by the functions that `python -m src.compare` calls.
"""

import argparse
from collections.abc import Mapping
from types import ModuleType

import optuna

from benchmarks import ROOT
from benchmarks.calibration import effects, rankings, samplers, verdicts

STUDIES = 300
PAGE = ROOT / "docs" / "calibration.md"
INTRODUCTION = """# Calibration

`python -m benchmarks.calibration` simulates studies whose truth is known and counts how often the reports
are wrong. Each simulated study goes the way of a real one: histories are scored, and runs are grouped, ranked
and judged by the functions of `python -m src.compare`. Rates are in percent with their standard error.
"""
PARTS: Mapping[str, ModuleType] = {
    "verdicts": verdicts,
    "effects": effects,
    "samplers": samplers,
    "rankings": rankings,
}


def page(texts: Mapping[str, str]) -> str:
    """Returns the text of docs/calibration.md, with the text of each part in their order."""
    return INTRODUCTION + "".join(f"{texts[name].rstrip()}\n" for name in PARTS if name in texts)


def written() -> dict[str, str]:
    """Returns the text of each part in docs/calibration.md."""
    titles = {part.TEXT.split("\n")[1]: name for name, part in PARTS.items()}
    _, *sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    return {titles[f"## {text.split(chr(10))[0]}"]: f"\n## {text}" for text in sections}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--studies", type=int, default=STUDIES, help="of each row")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; the parts are {', '.join(PARTS)}")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in arguments.parts or PARTS:
        text = "\n".join(PARTS[name].part(arguments.studies))
        PAGE.write_text(page(written() | {name: text}), encoding="utf-8")


if __name__ == "__main__":
    main()

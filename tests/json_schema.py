"""Writes docs/json.schema.json: python -m tests.json_schema"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from kerasweep.commands.export import Export
from kerasweep.commands.json_answer import kind_of
from kerasweep.commands.predict import Predictions
from kerasweep.commands.promote import Promotion
from kerasweep.commands.refit_seeds import Refit
from kerasweep.commands.single import TrainedRun
from kerasweep.commands.train_again import Rerun
from kerasweep.multirun.dry_run import DryRun
from kerasweep.multirun.result import SweepResult
from kerasweep.report.result import ComparisonResult

FILE = Path(__file__).resolve().parents[1] / "docs" / "json.schema.json"
RESULTS = (TrainedRun, SweepResult, DryRun, ComparisonResult, Predictions, Rerun, Refit, Export, Promotion)
EXIT_CODE = {"type": "integer"}


def schema() -> dict[str, Any]:
    """Returns the JSON Schema of what `--json` prints, as the classes of the results define it."""
    parts: dict[str, Any] = {}
    answers = [_answer(result, parts) for result in RESULTS]
    named = _object({"type": {"type": "string"}, "message": {"type": "string"}})
    error = _object({"error": named, "exit_code": EXIT_CODE})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kerasweep --json",
        "oneOf": [*answers, error],
        "$defs": dict(sorted(parts.items())),
    }


def _answer(result: type, parts: dict[str, Any]) -> dict[str, Any]:
    described = TypeAdapter(result).json_schema(ref_template="#/$defs/{model}")
    parts |= {name: _closed(part) for name, part in described.pop("$defs", {}).items()}
    parts[result.__name__] = _closed(described)
    reference = {"$ref": f"#/$defs/{result.__name__}"}
    return _object({"kind": {"const": kind_of(result)}, "exit_code": EXIT_CODE, "result": reference})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return _closed({"type": "object", "properties": properties, "required": list(properties)})


def _closed(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "additionalProperties": False}


def text() -> str:
    return json.dumps(schema(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())

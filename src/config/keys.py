"""Every key that can define a run, read off the schemas."""

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from src.config.store import SCHEMAS

RUN_GROUPS = (
    "data",
    "augment",
    "model",
    "initializer",
    "regularizer",
    "optimizer",
    "schedule",
    "training",
)


def all_keys() -> list[str]:
    """The groups that define a run and every dotted key in them, whichever option has it; sorted."""
    keys = set(RUN_GROUPS)
    for name, schema in SCHEMAS.items():
        group = name.partition("/")[0]
        if group in RUN_GROUPS:
            keys |= set(_leaves(group, schema))
    return sorted(keys)


def _leaves(prefix: str, schema: Any) -> list[str]:
    hints = get_type_hints(schema)
    leaves = []
    for field in fields(schema):
        key, kind = f"{prefix}.{field.name}", hints[field.name]
        leaves += _leaves(key, kind) if is_dataclass(kind) else [key]
    return leaves

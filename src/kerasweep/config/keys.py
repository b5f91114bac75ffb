"""Every key that can define a run, read off the schemas."""

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from kerasweep.config.store import SCHEMAS

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


def command_keys(command: str) -> set[str]:
    """Every dotted key of a command's configuration, whichever option has it, and what holds others.

    command: `train`, `compare` or `predict`.
    """
    roots = {field.name for field in fields(SCHEMAS[command])}
    leaves = set(_leaves("", SCHEMAS[command]))
    for name, schema in SCHEMAS.items():
        group = name.partition("/")[0]
        leaves |= set(_leaves(group, schema)) if group in roots else set()
    return {
        ".".join(parts[: count + 1])
        for leaf in leaves
        for parts in [leaf.split(".")]
        for count in range(len(parts))
    }


def _leaves(prefix: str, schema: Any) -> list[str]:
    hints = get_type_hints(schema)
    leaves = []
    for field in fields(schema):
        key, kind = f"{prefix}.{field.name}".lstrip("."), hints[field.name]
        leaves += _leaves(key, kind) if is_dataclass(kind) else [key]
    return leaves

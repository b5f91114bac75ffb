"""Writes the values of axes that go together as one value: a row, which a sampler draws as one parameter."""

import json
from collections.abc import Mapping, Sequence

SEPARATOR = ", "
ZIP, GRIDS = "zip", "grids"
Value = None | bool | int | float | str
Params = dict[str, Value]


def members_of(key: str) -> tuple[str, ...]:
    """Returns the keys that an axis sets: for `zip(a, b)`, a and b; for others the key itself."""
    joined = key.partition("(")[2]
    return tuple(joined.removesuffix(")").split(SEPARATOR)) if joined else (key,)


def params_of(key: str, value: Value) -> Params:
    """Returns the values that a value of the axis with this key stands for, see `joint_axis`."""
    if members_of(key) == (key,):
        return {key: value}
    row: Params = json.loads(str(value))
    return row


def row_text(row: Mapping[str, Value]) -> str:
    """Returns a row as JSON, equal for equal rows in any order."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


def row_words(row: Mapping[str, Value], keys: Sequence[str]) -> str:
    """Returns a row for the user: `sgd 0.1`, or with the keys if it lacks some."""
    words = {key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()}
    if set(keys) <= row.keys():
        return " ".join(words[key] for key in keys)
    return " ".join(f"{key}={word}" for key, word in words.items()) or "as configured"

"""How things are called in MLflow: short names of axes, flat params, tags as text."""

from collections.abc import Mapping, Sequence
from typing import Any

RESERVED = {
    "study",
    "sweep",
    "kind",
    "trial",
    "repeat",
    "dataset",
    "state",
    "reason",
    "axes",
    "command",
    "versions",
    "objective",
    "sampler",
    "normalization",
    "verdict",
}


def short_names(keys: Sequence[str], all_keys: Sequence[str]) -> dict[str, str]:
    """A short name for each key: its last part, grown leftwards until it is unambiguous.

    all_keys: every key there is, so that a name means the same in each sweep. A name is never
    one of RESERVED. `+model.kwargs.width` is called as `model.kwargs.width` is.
    """
    clean = {key: key.lstrip("+") for key in keys}
    known = set(all_keys) | set(clean.values())
    return {key: _short_name(name, known) for key, name in clean.items()}


def _short_name(key: str, known: set[str]) -> str:
    parts = key.split(".")
    for start in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[start:])
        rivals = [other for other in known if other == name or other.endswith(f".{name}")]
        if name not in RESERVED and rivals == [key]:
            return name
    return key


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings as dotted keys with their values as text; empty mappings are left out."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = tag_text(value)
    return flat


def tag_text(value: Any) -> str:
    """A value as people type it on the command line: 5, 0.001, he_normal, [32,64], null, true."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(tag_text(element) for element in value)}]"
    return str(value)

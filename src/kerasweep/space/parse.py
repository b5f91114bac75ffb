"""Reads axes in the forms that users write: Hydra's sweep syntax, YAML lists, `{range: …, prior: …}`."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
    Transformer,
)
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from kerasweep.errors import ConfigError
from kerasweep.space.axis import Axis, ordered
from kerasweep.space.prior import read_prior
from kerasweep.space.rows import Value
from kerasweep.space.space import Space

GroupOptions = Callable[[str], Sequence[str]]
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
_KEYWORDS = {"null", "true", "false", "nan", "inf"}
_AXIS_KEYS = {"range", "when", "prior"}


def axis_of_override(override: Override, group_options: GroupOptions, is_zipped: bool = False) -> Axis:
    """Returns the axis of a sweep override such as `model.kernel_size=3,5`.

    Args:
        override: Hydra's parsed override.
        group_options: Returns the names in a config group; none for a plain key.
        is_zipped: Whether the axis has a column of a zip: its values may repeat, in the user's order.

    Raises:
        ConfigError: The values are empty, repeated, unknown or out of order. The message names the key.
    """
    key = override.get_key_element()
    options = list(group_options(override.key_or_group))
    value = override._value
    if isinstance(value, RangeSweep):
        axis = _with_prior(Axis(key, _range(key, value)), value)
        return replace(axis, column=_column(axis, value)) if is_zipped else axis
    if isinstance(value, IntervalSweep):
        return _with_prior(Axis(key, _interval(key, value)), value)
    elements = value.list if isinstance(value, ChoiceSweep) else _matching(value, options)
    choices = [(Override._convert_value(element), Transformer.str(element)) for element in elements]
    return _with_prior(_choice_axis(key, choices, options, is_zipped), value)


def axis_of_entry(
    key: str,
    entry: Any,
    group_options: GroupOptions,
    where: str = "study.space",
    is_zipped: bool = False,
) -> Axis:
    """Returns the axis of an entry of a study's `space` or `nuisance`.

    Args:
        key: The key of the entry.
        entry: A text in Hydra's syntax (`choice(3,5)`, `tag(log, interval(1e-5, 1e-1))`, `3,5`), a YAML list
            of choices, or a mapping with `range` and, for a conditional axis, `when`, or a `prior`.
        group_options: As in `axis_of_override`.
        where: The mapping that holds the entry, for messages.
        is_zipped: As in `axis_of_override`.

    Raises:
        ConfigError: As in `axis_of_override`.
    """
    if isinstance(entry, (DictConfig, ListConfig)):
        entry = OmegaConf.to_container(entry, resolve=True)
    if isinstance(entry, Mapping):
        return _conditional(key, entry, group_options, where, is_zipped)
    if isinstance(entry, list):
        choices = [(value, value_text(value)) for value in entry]
        return _choice_axis(key, choices, list(group_options(key)), is_zipped)
    override = _parse(key, str(entry), where)
    if not override.is_sweep_override():
        raise ConfigError(
            f"{where}.{key} must give several values, but got {entry!r}. "
            "Write it as in choice(3,5,7), range(2,6) or interval(0.1,0.5)."
        )
    return axis_of_override(override, group_options, is_zipped)


def make_space(axes: Sequence[Axis], fixed: Callable[[str], Value], joint: Sequence[Axis] = ()) -> Space:
    """Sorts the axes by their conditions. Raises ConfigError for a circle of conditions."""
    try:
        return Space(tuple(ordered(axes)), fixed, tuple(joint))
    except ValueError as error:
        raise ConfigError(
            f"The conditions of {error} depend on each other. Remove the condition of one of them."
        ) from error


def _conditional(
    key: str, entry: Mapping[str, Any], group_options: GroupOptions, where: str, is_zipped: bool
) -> Axis:
    unknown = sorted(set(entry) - _AXIS_KEYS)
    if unknown or "range" not in entry:
        raise ConfigError(
            f"{where}.{key} takes the keys range, when and prior, "
            f"but got {', '.join(map(str, entry)) or 'none'}. "
            'Write it as in {range: "interval(0.1,0.5)", when: {optimizer: sgd}}.'
        )
    when = entry.get("when") or {}
    if not isinstance(when, Mapping):
        raise ConfigError(f"{where}.{key}.when must map keys to values, but got {when!r}.")
    conditions = {
        str(other).lstrip("+"): tuple(map(encoded, allowed if isinstance(allowed, list) else [allowed]))
        for other, allowed in when.items()
    }
    axis = replace(axis_of_entry(key, entry["range"], group_options, where, is_zipped), conditions=conditions)
    if "prior" not in entry:
        return axis
    return replace(axis, prior=read_prior(key, str(entry["prior"]), axis.distribution))


def _with_prior(axis: Axis, sweep: Any) -> Axis:
    """Returns the axis with the prior that a tag names, as in `tag("normal(3,1)", interval(1,9))`."""
    texts = [tag for tag in getattr(sweep, "tags", ()) if "(" in tag]
    return replace(axis, prior=read_prior(axis.key, texts[0], axis.distribution)) if texts else axis


def _parse(key: str, text: str, where: str) -> Override:
    try:
        return OverridesParser.create().parse_override(f"{key}={text}")
    except HydraException as error:
        raise ConfigError(f"{where}.{key} cannot be read: {error}") from error


def _choice_axis(
    key: str, choices: Sequence[tuple[Any, str]], options: Sequence[str], is_zipped: bool
) -> Axis:
    if not choices:
        raise ConfigError(f"{key} has no values to choose from. Write it as in {key}=3,5.")
    texts: dict[Value, str] = {}
    plain: dict[Value, Any] = {}
    column: list[Value] = []
    for raw, text in choices:
        value = encoded(raw)
        if value in texts and not (is_zipped and texts[value] == text):
            raise ConfigError(f"{key} lists {text} twice. Name each value once.")
        if options and str(value) not in options:
            raise ConfigError(f"{key} has no option {text}. It has {', '.join(sorted(options))}.")
        texts[value], plain[value] = text, raw
        column.append(value)
    return Axis(
        key,
        CategoricalDistribution(list(texts)),
        texts=texts,
        raw=plain,
        is_group=bool(options),
        column=column if is_zipped else (),
    )


def _matching(value: Any, options: Sequence[str]) -> list[str]:
    assert isinstance(value, Glob)
    return value.filter(list(options))


def _column(axis: Axis, sweep: RangeSweep) -> Sequence[Value]:
    """Returns the values of a range from its start on, which may be its highest."""
    assert sweep.start is not None and sweep.stop is not None
    values = axis.values() or []
    return values if sweep.start <= sweep.stop else values[::-1]


def _range(key: str, sweep: RangeSweep) -> BaseDistribution:
    assert sweep.start is not None and sweep.stop is not None
    start, stop, step = (Decimal(str(number)) for number in (sweep.start, sweep.stop, sweep.step))
    if step == 0 or (stop - start) / step <= 0:
        raise ConfigError(f"{key} has an empty range from {start} to {stop} by {step}.")
    last = start + step * (math.ceil((stop - start) / step) - 1)
    low, high, step = min(start, last), max(start, last), abs(step)
    log = "log" in sweep.tags
    if log and (step != 1 or low < 1):
        raise ConfigError(
            f"{key} cannot be a logarithmic range from {low} by {step}: that takes steps of 1 from 1 up. "
            "List the values with choice(...), or use tag(log, interval(...))."
        )
    if all(isinstance(number, int) for number in (sweep.start, sweep.stop, sweep.step)):
        return IntDistribution(int(low), int(high), step=int(step), log=log)
    return FloatDistribution(float(low), float(high), step=float(step))


def _interval(key: str, sweep: IntervalSweep) -> BaseDistribution:
    low, high = sweep.start, sweep.end
    assert low is not None and high is not None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ConfigError(f"{key} needs an interval from low to high, but got {low} to {high}.")
    log = "log" in sweep.tags
    if log and low <= 0:
        raise ConfigError(f"{key} has a logarithmic interval from {low}: it must begin above 0.")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def encoded(value: Any) -> Value:
    """Turns a list or mapping into its Hydra text: Optuna's choices are scalars."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value_text(value)


def value_text(value: Any) -> str:
    """Writes a YAML value in Hydra's override syntax, quoted if Hydra would read it otherwise."""
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value.lower() not in _KEYWORDS
        return value if is_plain else QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return f"[{','.join(value_text(element) for element in value)}]"
    if isinstance(value, Mapping):
        return (
            "{" + ",".join(f"{value_text(key)}:{value_text(element)}" for key, element in value.items()) + "}"
        )
    return Override._get_value_element_as_str(value)

"""An axis has the same values as Hydra gives for its text, in every notation."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution, IntDistribution

from kerasweep.errors import ConfigError
from kerasweep.space.axis import Axis
from kerasweep.space.parse import axis_of_entry, axis_of_override, make_space

GROUPS = {"regularizer": ["l1", "l1_l2", "l2", "none"], "optimizer": ["adam", "sgd"]}
ODD_LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(ODD_LETTERS, max_size=12),
    st.sampled_from(
        ["null", "True", "1", "1e3", "", " a ", "it's", "café", '"', "a\\", "\\'", "a,b", "${x}", "[1]"]
    ),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), SCALARS, max_size=2),
)


def options(key: str) -> Sequence[str]:
    return GROUPS.get(key, [])


def read(text: str) -> Axis:
    """Returns the axis of an override, as typed on the command line."""
    return axis_of_override(OverridesParser.create().parse_override(text), options)


def by_hydra(override: str) -> Any:
    """Returns the value that Hydra reads from an override."""
    return OverridesParser.create().parse_override(override).value()


def same(one: Any, other: Any) -> bool:
    """Returns whether two values are equal in type and value, also inside lists and mappings."""
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(one[k], other[k]) for k in one)
        )
    return type(one) is type(other) and one == other


@settings(max_examples=300, deadline=None)
@given(value=VALUES)
def test_override_of_a_yaml_choice_gives_its_value(value: Any) -> None:
    axis = axis_of_entry("model.kwargs.x", [value], options)
    (chosen,) = axis.values() or []
    assert same(axis.plain(chosen), value)
    assert same(by_hydra(axis.override(chosen)), value)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(VALUES, min_size=2, max_size=4, unique_by=repr))
def test_command_line_and_yaml_give_the_same_axis(values: list[Any]) -> None:
    try:
        from_yaml = axis_of_entry("x", values, options)
    except ConfigError as error:
        assert "Name each value once" in str(error)  # 1, 1.0 and true are one to Optuna
        return
    texts = [from_yaml.override(value).removeprefix("x=") for value in from_yaml.values() or []]
    from_line = read(f"x={','.join(texts)}")
    assert from_line.values() == from_yaml.values()
    assert make_space([from_line], lambda key: None).canonical() == (
        make_space([from_yaml], lambda key: None).canonical()
    )
    for value in from_line.values() or []:
        assert same(by_hydra(from_line.override(value)), from_line.plain(value))


@settings(max_examples=200, deadline=None)
@given(
    start=st.integers(-50, 50),
    length=st.integers(1, 60),
    step=st.integers(1, 9),
    scale=st.sampled_from([1, 0.1, 0.25, 0.001]),
    falls=st.booleans(),
)
def test_range_has_the_values_of_python_range(
    start: int, length: int, step: int, scale: float, falls: bool
) -> None:
    whole = range(start, start - length, -step) if falls else range(start, start + length, step)
    start_text, stop_text, step_text = (
        str(number if scale == 1 else round(number * scale, 4))
        for number in (whole.start, whole.stop, whole.step)
    )
    axis = read(f"x=range({start_text},{stop_text},{step_text})")
    expected = sorted(number if scale == 1 else round(number * scale, 4) for number in whole)
    assert list(axis.values() or []) == expected
    assert [by_hydra(axis.override(value)) for value in axis.values() or []] == expected


@settings(max_examples=200, deadline=None)
@given(low=st.floats(-1e9, 1e9), length=st.floats(1e-6, 1e9), share=st.floats(0, 1))
def test_override_of_an_interval_gives_the_same_number(low: float, length: float, share: float) -> None:
    axis = read(f"x=interval({low!r},{low + length!r})")
    value = low + share * length
    assert same(by_hydra(axis.override(value)), value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x=3,5,7", [3, 5, 7]),
        ("x=choice(3,5,7)", [3, 5, 7]),
        ("x=range(2,6)", [2, 3, 4, 5]),
        ("x=range(4)", [0, 1, 2, 3]),
        ("x=range(2,7,2)", [2, 4, 6]),
        ("x=range(6,2,-2)", [4, 6]),
        ("x=range(5,0,-2)", [1, 3, 5]),
        ("x=range(0,1,0.25)", [0.0, 0.25, 0.5, 0.75]),
        ("x=range(0.1,0.4,0.1)", [0.1, 0.2, 0.3]),
        ("x=range(1.0,0.0,-0.4)", [0.2, 0.6, 1.0]),
        ("x=range(3,4)", [3]),
        ("x=null,2000", [None, 2000]),
        ("x=true,false", [True, False]),
        ("x=a,'b c'", ["a", "b c"]),
        ("x=[16,32],[16,32,64]", ["[16,32]", "[16,32,64]"]),
        ("x={a:1},{a:2}", ["{a:1}", "{a:2}"]),
        ("regularizer=l1,l2", ["l1", "l2"]),
        ("regularizer=glob(l*)", ["l1", "l1_l2", "l2"]),
        ("regularizer=glob(*,exclude=none)", ["l1", "l1_l2", "l2"]),
        ("x=interval(2,2)", [2.0]),
        ("x=interval(0.5,0.5)", [0.5]),
        ("x=int(interval(2,4))", [2, 3, 4]),
    ],
)
def test_command_line_gives_these_values(text: str, values: list[Any]) -> None:
    assert list(read(text).values() or []) == values
    assert list(map(type, read(text).values() or [])) == list(map(type, values))


def test_interval_is_closed_and_keeps_its_scale() -> None:
    assert read("x=interval(0.1,0.5)").distribution == FloatDistribution(0.1, 0.5)
    assert read("x=tag(log,interval(1e-6,1e-2))").distribution == FloatDistribution(1e-6, 1e-2, log=True)
    assert read("x=tag(log,int(interval(1,64)))").distribution == IntDistribution(1, 64, log=True)
    assert read("x=tag(log,range(1,65))").distribution == IntDistribution(1, 64, log=True)


def test_only_a_config_group_makes_a_group_axis() -> None:
    assert read("regularizer=l1,l2").is_group
    assert not read("model.padding=same,valid").is_group


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ("choice(3, 5)", [3, 5]),
        ("3,5", [3, 5]),
        ([3, 5], [3, 5]),
        (OmegaConf.create([3, None]), [3, None]),
        ([[16, 32], [16]], ["[16,32]", "[16]"]),
        ({"range": [3, 5]}, [3, 5]),
        ({"range": "choice(3,5)", "when": None}, [3, 5]),
        (["3", 3], ["3", 3]),
    ],
)
def test_study_file_gives_these_values(entry: Any, values: list[Any]) -> None:
    assert list(axis_of_entry("x", entry, options).values() or []) == values


def test_when_takes_one_value_or_several() -> None:
    entry = {"range": "interval(0.1,0.5)", "when": {"optimizer": "sgd", "model.filters": [[16, 32], 3]}}
    axis = axis_of_entry("optimizer.momentum", OmegaConf.create(entry), options)
    assert axis.conditions == {"optimizer": ("sgd",), "model.filters": ("[16,32]", 3)}


REFUSED_LINES = [
    ("x=3,5,3", "x lists 3 twice. Name each value once."),
    ("x=[1],[1]", "x lists [1] twice. Name each value once."),
    ("regularizer=l1,l3", "regularizer has no option l3. It has l1, l1_l2, l2, none."),
    ("regularizer=glob(q*)", "regularizer has no values to choose from. Write it as in regularizer=3,5."),
    ("x=range(5,5)", "x has an empty range from 5 to 5 by 1."),
    ("x=range(5,2)", "x has an empty range from 5 to 2 by 1."),
    ("x=range(1,5,0)", "x has an empty range from 1 to 5 by 0."),
    ("x=interval(5,2)", "x needs an interval from low to high, but got 5.0 to 2.0."),
    ("x=interval(0,inf)", "x needs an interval from low to high, but got 0.0 to inf."),
    ("x=interval(nan,1)", "x needs an interval from low to high, but got nan to 1.0."),
    ("x=tag(log,interval(0,1))", "x has a logarithmic interval from 0.0: it must begin above 0."),
    (
        "x=tag(log,range(1,9,2))",
        "x cannot be a logarithmic range from 1 by 2: that takes steps of 1 from 1 up. "
        "List the values with choice(...), or use tag(log, interval(...)).",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED_LINES)
def test_refuses_an_override(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert str(refused.value) == message


REFUSED_ENTRIES = [
    (
        "3",
        "study.space.x must give several values, but got '3'. "
        "Write it as in choice(3,5,7), range(2,6) or interval(0.1,0.5).",
    ),
    (3, "study.space.x must give several values, but got 3."),
    ([], "x has no values to choose from. Write it as in x=3,5."),
    ("choice(3", "study.space.x cannot be read: "),
    (
        {"rang": "choice(3,5)"},
        "study.space.x takes the keys range, when and prior, but got rang. "
        'Write it as in {range: "interval(0.1,0.5)", when: {optimizer: sgd}}.',
    ),
    ({}, "study.space.x takes the keys range, when and prior, but got none."),
    ({"range": "3,5", "if": 1}, "study.space.x takes the keys range, when and prior, but got range, if."),
    ({"range": "3,5", "when": "sgd"}, "study.space.x.when must map keys to values, but got 'sgd'."),
]


@pytest.mark.parametrize(("entry", "message"), REFUSED_ENTRIES)
def test_refuses_an_entry_of_a_study(entry: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        axis_of_entry("x", entry, options)
    assert str(refused.value).startswith(message)


def test_conditions_in_a_circle_are_named() -> None:
    one = axis_of_entry("a", {"range": "1,2", "when": {"b": 1}}, options)
    other = axis_of_entry("b", {"range": "1,2", "when": {"a": 1}}, options)
    free = axis_of_entry("c", "1,2", options)
    with pytest.raises(ConfigError) as refused:
        make_space([free, one, other], lambda key: None)
    assert str(refused.value) == (
        "The conditions of a, b depend on each other. Remove the condition of one of them."
    )


def test_infinity_is_a_choice() -> None:
    assert math.isinf(by_hydra(axis_of_entry("x", [math.inf], options).override(math.inf)))

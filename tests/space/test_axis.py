"""A space holds exactly the configurations that its axes and their conditions allow."""

import itertools
import statistics
from collections.abc import Mapping
from typing import Any

import optuna
import pytest

from kerasweep.space.axis import Axis, ordered
from kerasweep.space.parse import axis_of_entry, make_space
from kerasweep.space.rows import Params
from kerasweep.space.space import Space, signature

GROUPS = {"regularizer": ["l1", "l2", "none"], "optimizer": ["adam", "sgd"]}
STRENGTH = {"range": "choice(1e-4,1e-2)", "when": {"regularizer": ["l1", "l2"]}}


def axis(key: str, entry: Any) -> Axis:
    return axis_of_entry(key, entry, lambda key: GROUPS.get(key, []))


def space(entries: Mapping[str, Any], fixed: Params | None = None) -> Space:
    return make_space([axis(key, entry) for key, entry in entries.items()], (fixed or {}).get)


def test_configurations_are_the_product_with_the_first_axis_slowest() -> None:
    found = list(space({"b": "3,5", "a": "range(3)"}).configurations())
    assert found == [{"b": b, "a": a} for b, a in itertools.product([3, 5], [0, 1, 2])]


def test_empty_space_has_one_configuration() -> None:
    assert list(space({}).configurations()) == [{}]


def test_inactive_axis_is_absent() -> None:
    found = list(space({"regularizer.strength": STRENGTH, "regularizer": "none,l1,l2"}).configurations())
    assert found == [
        {"regularizer": "none"},
        {"regularizer": "l1", "regularizer.strength": 1e-4},
        {"regularizer": "l1", "regularizer.strength": 1e-2},
        {"regularizer": "l2", "regularizer.strength": 1e-4},
        {"regularizer": "l2", "regularizer.strength": 1e-2},
    ]


@pytest.mark.parametrize(("fixed", "count"), [("sgd", 4), ("adam", 2)])
def test_condition_may_name_a_fixed_key(fixed: str, count: int) -> None:
    entries = {"optimizer.momentum": {"range": "0.5,0.9", "when": {"optimizer": "sgd"}}, "x": "1,2"}
    assert len(list(space(entries, {"optimizer": fixed}).configurations())) == count


def test_a_part_of_a_space_has_the_same_configurations() -> None:
    whole = space(
        {
            "optimizer": "adam,sgd",
            "momentum": {"range": "0.5,0.9", "when": {"optimizer": "sgd"}},
            "nesterov": {"range": "false,true", "when": {"momentum": 0.9}},
            "regularizer": "l1,none",
            "regularizer.strength": STRENGTH,
            "rate": {"range": "1,2", "when": {"fixed": 1}},
        },
        {"fixed": 1},
    )
    keys = {"optimizer", "regularizer"}
    for optimizer, regularizer in itertools.product(["adam", "sgd"], ["l1", "none"]):
        values: Params = {"optimizer": optimizer, "regularizer": regularizer}
        part = whole.within(keys, values)
        expected = [params for params in whole.configurations() if values.items() <= params.items()]
        assert [signature({**values, **params}) for params in part.configurations()] == [
            signature(params) for params in expected
        ]
    adam = whole.within(keys, {"optimizer": "adam", "regularizer": "none"})
    assert [axis.key for axis in adam.axes] == ["rate"]  # the others never apply


def test_every_condition_must_hold() -> None:
    entries = {"a": "1,2", "b": "1,2", "c": {"range": "5,6", "when": {"a": 1, "b": [1]}}}
    assert len(list(space(entries).configurations())) == 2 + 3


def test_condition_on_an_inactive_axis_does_not_hold() -> None:
    entries = {
        "a": "1,2",
        "b": {"range": "5,6", "when": {"a": 1}},
        "c": {"range": "7,8", "when": {"b": [5, 6]}},
    }
    assert len(list(space(entries).configurations())) == 2 * 2 + 1


def test_condition_on_an_inactive_axis_does_not_hold_even_for_null() -> None:
    entries = {
        "a": "1,2",
        "b": {"range": ["x", None], "when": {"a": 1}},
        "c": {"range": "7,8", "when": {"b": [None]}},
    }
    with_c = [params for params in space(entries).configurations() if "c" in params]
    assert with_c == [{"a": 1, "b": None, "c": 7}, {"a": 1, "b": None, "c": 8}]


@pytest.mark.parametrize("named", ["a.x", "+a.x"])
def test_condition_names_an_added_key_with_or_without_its_plus(named: str) -> None:
    entries = {"c": {"range": "7,8", "when": {named: 1}}, "+a.x": "1,2"}
    assert len(list(space(entries).configurations())) == 2 + 1


@pytest.mark.parametrize(
    ("entry", "whole"),
    [
        ("interval(2,4)", "int(interval(2,4))"),
        ("tag(log,interval(1,1000000))", "tag(log,int(interval(1,1000000)))"),
        ("int(interval(2,4))", None),
        ("range(0.5,2,0.5)", None),
        ("2.0,4.0", None),
    ],
)
def test_real_interval_gives_the_text_for_whole_numbers(entry: str, whole: str | None) -> None:
    assert axis("a", entry).whole_interval == whole
    assert whole is None or axis("a", whole).ends() == [int(end) for end in axis("a", entry).ends()]


def test_axes_come_after_those_of_their_conditions_and_else_stay_in_order() -> None:
    axes = [
        axis("c", {"range": "1,2", "when": {"b": 1}}),
        axis("z", "1,2"),
        axis("b", {"range": "1,2", "when": {"a": 1}}),
        axis("a", "1,2"),
    ]
    assert [one.key for one in ordered(axes)] == ["z", "a", "b", "c"]


def test_axis_with_a_condition_on_itself_is_named() -> None:
    with pytest.raises(ValueError, match="^a$"):
        ordered([axis("a", {"range": "1,2", "when": {"a": 1}}), axis("b", "1,2")])


def test_infinite_axis_is_named() -> None:
    endless = space({"a": "1,2", "b": "interval(0.0,1.0)"})
    assert not endless.is_finite
    with pytest.raises(ValueError, match="^b$"):
        list(endless.configurations())


def test_groups_come_before_the_keys_that_they_bring() -> None:
    found = space({"regularizer.strength": "1e-4,1e-2", "regularizer": "l1,l2", "x": "[1],[2]"})
    params = {"regularizer.strength": 1e-4, "regularizer": "l1", "x": "[1]"}
    assert found.overrides(params) == ["regularizer=l1", "regularizer.strength=0.0001", "x=[1]"]
    assert found.overrides({"x": "[2]"}) == ["x=[2]"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "3,5", "b": "1,2"}, {"b": "choice(2,1)", "a": [5, 3]}),
        ({"a": "range(1,4)"}, {"a": "1,2,3"}),
        ({"a": "range(3,0,-1)"}, {"a": "int(interval(1,3))"}),
        ({"a": "range(0.1,0.4,0.1)"}, {"a": [0.3, 0.1, 0.2]}),
        ({"a": "[1,2],[3]"}, {"a": [[3], [1, 2]]}),
        (
            {"a": "1,2", "b": {"range": "1,2", "when": {"a": 1}}},
            {"b": {"range": [2, 1], "when": {"a": [1]}}, "a": "1,2"},
        ),
        ({"a": "interval(0.1,1)"}, {"a": {"range": "interval(0.1,1.0)", "when": {}}}),
    ],
)
def test_equal_spaces_are_equal_in_any_notation(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert space(one).canonical() == space(other).canonical()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "3,5"}, {"a": "3,7"}),
        ({"a": "3,5"}, {"a": [3, "5"]}),
        ({"a": "interval(0.1,1.0)"}, {"a": "tag(log,interval(0.1,1.0))"}),
        ({"a": "interval(0.1,1.0)"}, {"a": "interval(0.1,2.0)"}),
        ({"a": "0,1"}, {"a": "false,true"}),
        ({"a": "1,2", "b": "1,2"}, {"a": "1,2", "b": {"range": "1,2", "when": {"a": 1}}}),
    ],
)
def test_different_spaces_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert space(one).canonical() != space(other).canonical()


def test_signature_differs_between_types() -> None:
    assert signature({"a": 1, "b": 2}) == signature({"b": 2, "a": 1})
    assert len({signature({"a": value}) for value in (1, 1.0, True, "1", None)}) == 5


def test_steps_are_the_written_numbers() -> None:
    tenths = axis("a", "range(0.1,1,0.1)")
    assert tenths.values() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert tenths.snap(0.1 + 0.1 + 0.1) == 0.3
    assert tenths.override(tenths.snap(0.30000000000000004)) == "a=0.3"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("3,5", "3, 5"),
        ("null,2000", "null, 2000"),
        ("[16,32],[64]", "[16,32], [64]"),
        ("hub:a,hub:b", "hub:a, hub:b"),
        ("range(100)", "0 … 99 (100 values)"),
        ("interval(0.1,0.5)", "0.1 … 0.5"),
        ("tag(log,interval(1e-6,1e-2))", "1e-06 … 0.01 (log)"),
        ({"range": "1,2", "when": {"o": "sgd", "r": ["l1", "l2"]}}, "1, 2, when o is sgd and r is l1 or l2"),
    ],
)
def test_description_is_for_people(entry: Any, message: str) -> None:
    assert axis("x", entry).describe() == message


@pytest.mark.parametrize(
    ("entry", "middle"),
    [
        ("tag(log,interval(1e-5,1e-1))", 1e-3),
        ("interval(1e-5,1e-1)", 0.05),
        ("tag(log,int(interval(1,10000)))", 100),
        ("int(interval(1,10000))", 5000),
    ],
)
def test_suggestions_are_uniform_on_the_scale_that_the_user_wrote(entry: str, middle: float) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    suggestions = [space({"a": entry}).suggest(study.ask())["a"] for _ in range(200)]
    assert middle / 2 < statistics.median(map(float, suggestions)) < middle * 2  # type: ignore[arg-type]
    stored = study.trials[0].distributions["a"]
    assert stored == axis("a", entry).distribution and stored.log is entry.startswith("tag(log")  # type: ignore[attr-defined]

"""A joint axis is one parameter of a trial, and several values of a configuration."""

from optuna import create_study
from optuna.distributions import CategoricalDistribution

from kerasweep.space.axis import Axis
from kerasweep.space.grids import axes_of_grids
from kerasweep.space.rows import Value
from kerasweep.space.space import Space
from kerasweep.space.zipped import zipped_axis


def column(key: str, *values: Value, is_group: bool = False) -> Axis:
    distribution = CategoricalDistribution(list(dict.fromkeys(values)))
    return Axis(key, distribution, is_group=is_group, column=values)


NAME, RATE = column("optimizer", "sgd", "sgd", "adam", is_group=True), column("rate", 0.1, 0.01, None)
OTHER = Axis("size", CategoricalDistribution([3, 5]))
ZIPPED = Space((NAME, OTHER, RATE), str, (zipped_axis([NAME, RATE]),))
GRID_AXES, UNION = axes_of_grids(
    [{"size": [3, 5]}, {"optimizer": "sgd", "rate": [0.1, 0.01]}], lambda key: [], str
)
GRIDS = Space(tuple(GRID_AXES), str, tuple(UNION))


def test_a_trial_has_one_parameter_for_the_members() -> None:
    recorded, distributions = ZIPPED.recorded({"optimizer": "adam", "rate": None, "size": 3})
    assert recorded == {"zip(optimizer, rate)": '{"optimizer": "adam", "rate": null}', "size": 3}
    assert recorded.keys() == distributions.keys()


def test_what_is_recorded_is_read_again() -> None:
    for space in (ZIPPED, GRIDS):
        for params in space.configurations():
            assert space.read(space.recorded(params)[0]) == params
            assert space.equal_configuration(params) == params


def test_a_configuration_that_is_no_row_is_not_of_the_space() -> None:
    assert ZIPPED.equal_configuration({"optimizer": "adam", "rate": 0.1, "size": 3}) is None
    assert ZIPPED.equal_configuration({"optimizer": "adam", "size": 3}) is None
    assert GRIDS.equal_configuration({"size": 3, "optimizer": "sgd"}) is None


def test_a_sampler_suggests_rows_alone() -> None:
    study = create_study()
    rows = {(p["optimizer"], p["rate"]) for p in (ZIPPED.suggest(study.ask()) for _ in range(40))}
    assert rows == {("sgd", 0.1), ("sgd", 0.01), ("adam", None)}


def test_a_part_of_a_space_keeps_the_rows_of_its_axes() -> None:
    assert list(ZIPPED.group_choices()) == [{"optimizer": "sgd"}, {"optimizer": "adam"}]
    assert len(list(ZIPPED.only({"optimizer", "rate"}).configurations())) == 3
    assert list(GRIDS.only({"rate"}).configurations()) == [{}, {"rate": 0.1}, {"rate": 0.01}]


def test_the_rest_of_a_space_keeps_its_zip() -> None:
    assert len(list(ZIPPED.within({"size"}, {"size": 3}).configurations())) == 3
    assert list(ZIPPED.within({"optimizer", "rate"}, {}).configurations()) == [{"size": 3}, {"size": 5}]


def test_the_canonical_form_has_no_order() -> None:
    turned = [column(axis.key, *reversed(axis.column)) for axis in (RATE, NAME)]
    other = Space((*turned, OTHER), str, (zipped_axis(turned),))
    assert other.canonical() == ZIPPED.canonical()
    assert ZIPPED.canonical() != Space(ZIPPED.axes, str).canonical()

"""A sampler or a pruner of the user's is called with its arguments, and its errors are sentences."""

from pathlib import Path

import optuna
import pytest
from omegaconf import DictConfig, OmegaConf
from optuna.samplers import BruteForceSampler, NSGAIIISampler, RandomSampler
from optuna.study import create_study

from kerasweep.config.search import CustomPrunerConf, CustomSamplerConf
from kerasweep.errors import ConfigError
from kerasweep.search.pruners import PrunerInput, build_pruner, pruner_input
from kerasweep.search.samplers import build_sampler

CODE = """
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler

def plain(limit=1):
    return RandomSampler(limit)

def nothing():
    return None

def raises(x=1):
    raise OSError("no such file")

class Odd(RandomSampler):
    def sample_independent(self, *arguments):
        raise KeyError("lost")

class Lacking(RandomSampler):
    def sample_independent(self, *arguments):
        import torch_of_tomorrow

class Never(BasePruner):
    def prune(self, study, trial):
        raise KeyError("lost")
"""


@pytest.fixture(autouse=True)
def searchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_searchers.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)


def sampler_conf(target: str, **kwargs: object) -> DictConfig:
    cfg: DictConfig = OmegaConf.structured(CustomSamplerConf("custom", 7, target, kwargs))
    return cfg


def pruner_conf(target: str, **kwargs: object) -> DictConfig:
    cfg: DictConfig = OmegaConf.structured(CustomPrunerConf("custom", target, kwargs))
    return cfg


def wrapped(sampler: object) -> object:
    return sampler._sampler._wrapped  # type: ignore[attr-defined]


def test_a_sampler_gets_its_arguments_and_a_seed() -> None:
    nsga3 = wrapped(build_sampler(sampler_conf("optuna.samplers:NSGAIIISampler", population_size=9), 0))
    assert isinstance(nsga3, NSGAIIISampler) and nsga3._population_size == 9

    def drawn(trials: int, **kwargs: object) -> float:
        study = create_study(
            sampler=build_sampler(sampler_conf("optuna.samplers:RandomSampler", **kwargs), trials)
        )
        return study.ask().suggest_float("x", 0, 1)

    assert drawn(0) == drawn(0) != drawn(1)
    assert drawn(0, seed=3) == drawn(1, seed=3)
    assert isinstance(wrapped(build_sampler(sampler_conf("own_searchers:plain"), 0)), RandomSampler)


def test_a_sampler_that_has_tried_all_it_knows_does_not_end_the_sweep() -> None:
    """Optuna's raises an error in the last tell of a study that it does not run itself."""
    study = create_study(sampler=build_sampler(sampler_conf("optuna.samplers:BruteForceSampler"), 0))
    values = []
    for _ in range(3):
        trial = study.ask()
        values.append(trial.suggest_categorical("x", [1, 2]))
        study.tell(trial, 0.5)
    assert set(values[:2]) == {1, 2}
    assert isinstance(wrapped(study.sampler), BruteForceSampler)


@pytest.mark.parametrize(
    ("target", "kwargs", "message"),
    [
        (
            "own_searchers:nothing",
            {},
            "must return an optuna BaseSampler, but it returned NoneType. Name a class such as "
            "optuna.samplers:NSGAIIISampler, or a function that returns its instance.",
        ),
        (
            "own_searchers:raises",
            {},
            "raised OSError: no such file. Correct sampler.kwargs or the function.",
        ),
        (
            "own_searchers:plain",
            {"width": 3},
            "is called with sampler.kwargs (width), which it does not take",
        ),
        (
            "optuna.samplers:NSGAIIISampler",
            {"population_size": 1},
            "raised ValueError: `population_size` must be greater than or equal to 2.",
        ),
    ],
)
def test_a_sampler_that_cannot_be_built_is_refused(
    target: str, kwargs: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        build_sampler(sampler_conf(target, **kwargs), 0)
    assert str(refused.value).startswith(f"sampler.target={target} {message}")


def test_an_error_of_a_sampler_is_a_sentence() -> None:
    study = create_study(sampler=build_sampler(sampler_conf("own_searchers:Odd"), 0))
    with pytest.raises(ConfigError) as refused:
        study.ask().suggest_float("x", 0, 1)
    assert str(refused.value) == (
        "sampler.target=own_searchers:Odd raised KeyError in sample_independent: 'lost'. Correct it, or "
        "choose another one; the same command then continues the sweep."
    )


def test_a_sampler_without_its_package_says_which_one() -> None:
    """Optuna's GPSampler imports torch when it has seen ten trials."""
    study = create_study(sampler=build_sampler(sampler_conf("own_searchers:Lacking"), 0))
    with pytest.raises(ConfigError) as refused:
        study.ask().suggest_float("x", 0, 1)
    assert str(refused.value) == (
        "sampler.target=own_searchers:Lacking needs the package torch_of_tomorrow, which is not installed. "
        "Install it, or choose another one; the same command then continues the sweep."
    )


def test_a_pruner_receives_each_epoch_and_its_errors_are_sentences() -> None:
    assert pruner_input("custom") is PrunerInput.EPOCHS
    study = create_study(pruner=build_pruner(pruner_conf("optuna.pruners:ThresholdPruner", lower=0.5), 4))
    trial = study.ask()
    assert [trial.report(0.6, 1), trial.should_prune()] == [None, False]
    assert [trial.report(0.4, 2), trial.should_prune()] == [None, True]
    study.pruner = build_pruner(pruner_conf("own_searchers:Never"), 4)
    with pytest.raises(
        ConfigError, match="^pruner.target=own_searchers:Never raised KeyError in prune: 'lost'."
    ):
        trial.should_prune()
    with pytest.raises(
        ConfigError, match="^pruner.target=own_searchers:plain must return an optuna BasePruner"
    ):
        build_pruner(pruner_conf("own_searchers:plain"), 4)
    hyperband = build_pruner(pruner_conf("optuna.pruners:HyperbandPruner"), 4)
    assert isinstance(hyperband, optuna.pruners.HyperbandPruner)


def test_a_target_that_does_not_exist_is_named() -> None:
    with pytest.raises(
        ConfigError, match="^own_searchers has no missing, which 'own_searchers:missing' names"
    ):
        build_sampler(sampler_conf("own_searchers:missing"), 0)
    with pytest.raises(ConfigError, match="^The module nowhere of 'nowhere:plain' was not found."):
        build_sampler(sampler_conf("nowhere:plain"), 0)

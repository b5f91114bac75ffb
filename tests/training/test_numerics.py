"""A run's tags name what decides its last bits, and the environment can be restored from them."""

import os

import pytest

from kerasweep.training import numerics
from kerasweep.training.numerics import THREAD_VARIABLES, read_numerics, restore_environment

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
VARIABLES = (*THREAD_VARIABLES, "XLA_FLAGS", ONEDNN, "CUDA_VISIBLE_DEVICES")


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restores the variables at the end, and removes them at the start."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def set_variables() -> dict[str, str]:
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def test_tags_name_processor_and_packages() -> None:
    tags = read_numerics()
    assert tags["packages"].startswith("tensorflow==")
    assert tags["processor"] and int(tags["cores"]) >= 1
    names = ("threads", "onednn", "environment", "gpu")
    assert [tags[name] for name in names] == ["all", "default", "none", "none"]


@pytest.mark.parametrize(
    "before",
    [
        {"TF_NUM_INTRAOP_THREADS": "3", "TF_NUM_INTEROP_THREADS": "2", "XLA_FLAGS": "--a=1 --b='c d'"},
        {"OMP_NUM_THREADS": "1", ONEDNN: "0"},
        {},
    ],
)
def test_the_environment_of_a_process_is_restored(before: dict[str, str]) -> None:
    os.environ.update(before)
    tags = read_numerics()
    for name in before:
        del os.environ[name]
    os.environ.update({"TF_NUM_INTEROP_THREADS": "7", "XLA_FLAGS": "--z"})
    restore_environment({**tags, "gpu": "H200"})
    assert set_variables() == before


def test_a_worker_of_an_older_version_had_all_threads_set() -> None:
    os.environ["XLA_FLAGS"] = "--mine"
    restore_environment({"threads": "2", "onednn": "1"})
    assert set_variables() == {**dict.fromkeys(THREAD_VARIABLES, "2"), ONEDNN: "1", "XLA_FLAGS": "--mine"}


def test_all_cores_of_another_machine_are_as_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "count_cores", lambda: 2)
    restore_environment({"threads": "all", "cores": "8", "environment": "none"})
    assert set_variables() == {"TF_NUM_INTRAOP_THREADS": "8"}
    restore_environment({"threads": "all", "cores": "2", "environment": "none"})
    assert set_variables() == {}


def test_a_training_without_a_gpu_gets_none() -> None:
    restore_environment({"gpu": "none"})
    assert set_variables() == {"CUDA_VISIBLE_DEVICES": "-1"}
    restore_environment({})
    assert set_variables() == {"CUDA_VISIBLE_DEVICES": "-1"}

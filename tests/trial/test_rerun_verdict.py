"""Two trainings are equal to the last bit, or the sentence says where they differ and why that may be."""

import pytest

from kerasweep.trial.rerun_verdict import (
    NO_CAUSE,
    Training,
    compare_trainings,
    different_packages,
    find_causes,
)

TAGS = {
    "mlflow.source.git.commit": "1" * 40,
    "git.dirty": "true",
    "git.diff": "aaaa",
    "kerasweep": "0.2.0",
    "packages": "tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6",
    "processor": "A",
    "instructions": "avx avx2 avx512f",
    "threads": "1",
    "cores": "8",
    "onednn": "1",
    "environment": "none",
    "gpu": "none",
    "weights_digest": "w",
}
LOSSES = {"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 3.0, 2.0]}


def changed(**tags: str | None) -> dict[str, str]:
    names = {"commit": "mlflow.source.git.commit", "dirty": "git.dirty", "diff": "git.diff"}
    merged = {**TAGS, **{names.get(name, name): value for name, value in tags.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def training(losses: dict[str, list[float]] = LOSSES, **tags: str | None) -> Training:
    return Training(losses, changed(**tags), "data")


def causes(before: Training, now: Training, is_deterministic: bool = True) -> list[str]:
    return list(find_causes(before, now, is_deterministic))


@pytest.mark.parametrize(("epochs", "text"), [(3, "3 epochs"), (1, "1 epoch")])
def test_equal_trainings(epochs: int, text: str) -> None:
    losses = {metric: values[:epochs] for metric, values in LOSSES.items()}
    verdict = compare_trainings(training(losses), training(losses), True)
    assert (verdict.is_equal, verdict.text) == (True, f"equal: {text}, all metrics and weights bitwise")


def test_a_run_of_an_older_version_has_no_weights_to_compare() -> None:
    verdict = compare_trainings(training(weights_digest=None, processor=None), training(), True)
    assert (verdict.is_equal, verdict.text) == (True, "equal: 3 epochs, all metrics bitwise")


@pytest.mark.parametrize(
    ("losses", "tags", "place"),
    [
        (
            {"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 3.0, 2.0 + 2e-7]},
            {},
            "from epoch 3 on (val_loss 2e-07)",
        ),
        ({"loss": [3.5, 2.0, 1.0], "val_loss": [4.0 + 2**-50, 3.0, 9.0]}, {}, "from epoch 1 on (loss 0.5)"),
        ({"loss": [3.0, 2.0], "val_loss": [4.0, 3.0]}, {}, "after epoch 2: 2 epochs, not 3"),
        (LOSSES, {"weights_digest": "v"}, "in the weights alone"),
    ],
)
def test_the_first_difference_is_named(
    losses: dict[str, list[float]], tags: dict[str, str], place: str
) -> None:
    verdict = compare_trainings(training(), training(losses, **tags), True)
    assert (verdict.is_equal, verdict.text) == (False, f"differs {place}: {NO_CAUSE}")


def test_a_loss_that_is_not_finite_is_a_difference() -> None:
    losses = {"loss": [3.0], "val_loss": [4.0]}
    verdict = compare_trainings(training(), training(losses), True, "loss became nan in epoch 2")
    assert verdict.text == f"differs after epoch 1: loss became nan in epoch 2: {NO_CAUSE}"


@pytest.mark.parametrize(
    ("tags", "cause"),
    [
        ({"commit": "2" * 40}, "the code is another (commit 11111111 / 22222222)"),
        ({"diff": "bbbb"}, "the code is another (commit 11111111 with other changes)"),
        ({"dirty": "false", "diff": "none"}, "the code is another (commit 11111111 with other changes)"),
        ({"kerasweep": "0.3.0"}, "kerasweep is another version (0.2.0 / 0.3.0)"),
        (
            {"packages": "tensorflow==2.22.0 keras==3.15.1 numpy==2.4.6"},
            "tensorflow is another version (2.21.0 / 2.22.0)",
        ),
        ({"instructions": "avx avx2"}, "the processor is another (avx512f / none)"),
        ({"instructions": "avx avx2 amx_tile"}, "the processor is another (avx512f / amx_tile)"),
        ({"processor": "B"}, "the processor is another (A / B)"),
        ({"threads": "2"}, "the number of threads is another (1 / 2)"),
        ({"threads": "all"}, "the number of threads is another (1 / 8)"),
        ({"onednn": "0"}, "oneDNN's setting is another (1 / 0)"),
        ({"environment": "XLA_FLAGS=x"}, "the environment is another (none / XLA_FLAGS=x)"),
        ({"gpu": "H200, driver 1"}, "the GPU is another (none / H200, driver 1)"),
    ],
)
def test_each_cause_is_named_alone(tags: dict[str, str | None], cause: str) -> None:
    assert causes(training(), training(**tags)) == [cause]


def test_the_code_of_a_user_is_a_cause() -> None:
    before, now = training(targets="nets:small=1111"), training(targets="nets:small=2222")
    assert causes(before, now) == ["your code is another (nets:small=1111 / nets:small=2222)"]


def test_the_weights_of_a_backbone_are_a_cause() -> None:
    before, now = training(backbone_weights="1111"), training(backbone_weights="2222")
    assert causes(before, now) == ["the backbone begins with other weights (1111 / 2222)"]
    assert causes(training(), now) == []  # recorded by an older version


def test_files_that_git_does_not_know_may_be_a_cause() -> None:
    tags = {"dirty": "true", "diff": "none"}
    assert causes(training(**tags), training(**tags)) == ["files that git does not know are not recorded"]


@pytest.mark.parametrize(
    ("threads", "gpu", "may_vary"), [("1", "none", False), ("2", "none", True), ("1", "H200", True)]
)
def test_threads_and_gpus_are_a_cause_without_determinism(threads: str, gpu: str, may_vary: bool) -> None:
    both = training(threads=threads, gpu=gpu)
    expected = ["training.deterministic=false lets threads add in any order"] if may_vary else []
    assert causes(both, both, is_deterministic=False) == expected
    assert causes(both, both, is_deterministic=True) == []


def test_the_epochs_of_an_earlier_attempt_may_be_a_cause() -> None:
    (cause,) = causes(training(restored_epochs="2"), training())
    assert cause == "its first 2 epochs are of an earlier attempt, whose code and machine are not recorded"


def test_what_was_not_recorded_is_said_and_not_compared() -> None:
    older = Training(LOSSES, {"threads": "1", "onednn": "1"})
    assert causes(older, training()) == [
        "not recorded: the processor, the packages, the changes since the commit, the data"
    ]


def test_packages_to_install_again() -> None:
    now = changed(packages="tensorflow==2.22.0 keras==3.15.1 numpy==2.5.0")
    assert different_packages(TAGS, now) == ["tensorflow==2.21.0", "numpy==2.4.6"]

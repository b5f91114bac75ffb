"""Two trainings are equal to the last bit, or the sentence says where they differ and why that may be."""

import pytest

from kerasweep.trial.rerun_verdict import Training, causes, different_packages, verdict

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
    "gpu": "none",
    "weights_digest": "w",
}
LOSSES = {"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 3.0, 2.0]}


def changed(**tags: str | None) -> dict[str, str]:
    names = {"commit": "mlflow.source.git.commit", "dirty": "git.dirty", "diff": "git.diff"}
    merged = {**TAGS, **{names.get(name, name): value for name, value in tags.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def test_equal_trainings() -> None:
    assert verdict(Training(LOSSES, TAGS), Training(LOSSES, TAGS), True) == (
        "equal: 3 epochs, all metrics and weights bitwise"
    )


def test_a_run_of_an_older_version_has_no_weights_to_compare() -> None:
    older = changed(weights_digest=None, processor=None, instructions=None)
    assert verdict(Training(LOSSES, older), Training(LOSSES, TAGS), True) == (
        "equal: 3 epochs, all metrics bitwise"
    )


@pytest.mark.parametrize(
    ("losses", "tags", "where"),
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
    losses: dict[str, list[float]], tags: dict[str, str], where: str
) -> None:
    text = verdict(Training(LOSSES, TAGS), Training(losses, changed(**tags)), True)
    assert text == f"differs {where}: no cause is known, all that is recorded is equal"


@pytest.mark.parametrize(
    ("tags", "cause"),
    [
        ({"commit": "2" * 40}, "the code is another (commit 11111111 / 22222222)"),
        ({"diff": "bbbb"}, "the code is another (commit 11111111 with other changes)"),
        ({"dirty": "false", "diff": None}, "the code is another (commit 11111111 with other changes)"),
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
        ({"gpu": "H200, cuda_version 12"}, "the GPU is another (none / H200, cuda_version 12)"),
    ],
)
def test_each_cause_is_named_alone(tags: dict[str, str | None], cause: str) -> None:
    assert list(causes(TAGS, changed(**tags), is_deterministic=True)) == [cause]


def test_the_code_of_a_user_is_a_cause() -> None:
    there, here = changed(targets="nets:small=1111"), changed(targets="nets:small=2222")
    assert list(causes(there, here, True)) == ["your code is another (nets:small=1111 / nets:small=2222)"]


@pytest.mark.parametrize(
    ("threads", "gpu", "may_vary"), [("1", "none", False), ("2", "none", True), ("1", "H200", True)]
)
def test_threads_and_gpus_are_a_cause_without_determinism(threads: str, gpu: str, may_vary: bool) -> None:
    tags = changed(threads=threads, gpu=gpu)
    expected = ["training.deterministic=false lets threads add in any order"] if may_vary else []
    assert list(causes(tags, tags, is_deterministic=False)) == expected
    assert list(causes(tags, tags, is_deterministic=True)) == []


def test_what_an_older_version_did_not_record_is_said() -> None:
    older = {"threads": "1", "onednn": "1"}
    here = changed(commit=None, dirty=None, diff=None)
    assert list(causes(older, here, True)) == [
        "it was recorded by an older version, without processor and packages"
    ]


def test_packages_to_install_again() -> None:
    here = changed(packages="tensorflow==2.22.0 keras==3.15.1 numpy==2.5.0")
    assert different_packages(TAGS, here) == ["tensorflow==2.21.0", "numpy==2.4.6"]

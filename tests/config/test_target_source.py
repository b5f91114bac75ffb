"""The digest of a target's code changes with what it computes, and with nothing else."""

import sys
from pathlib import Path

import pytest

from kerasweep.config.target_source import check_call, source_digest
from kerasweep.errors import ConfigError

CODE = "def small(shape, classes, width=4):\n    return width\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def digest_of(code: str, name: str = "nets_of_digest") -> str | None:
    Path(f"{name}.py").write_text(code)
    return source_digest(f"{name}:small")


def test_comments_and_blank_lines_do_not_count() -> None:
    assert digest_of(CODE) == digest_of(f"# a network\n\n{CODE}") == digest_of(CODE.rstrip() + "  # wide")


@pytest.mark.parametrize("changed", [CODE.replace("4", "5"), f"{CODE}import math\n"])
def test_other_code_has_another_digest(changed: str) -> None:
    assert digest_of(CODE) != digest_of(changed)


def test_all_versions_of_python_give_the_same_digest() -> None:
    """Newer versions add fields to a syntax tree, and leave empty ones out."""
    code = (
        "def small(shape, classes, *, width=4):\n"
        '    return f"{width!r:>{width}}", [], lambda: None\n\n\n'
        "class A: pass\n"
    )
    assert digest_of(code) == "476b368debfe"


def test_the_module_is_not_imported() -> None:
    assert digest_of("raise SystemExit") is not None
    assert "nets_of_digest" not in sys.modules


@pytest.mark.parametrize("target", ["math:sqrt", "no_such_module_at_all:f", "no.such:f", "", ":", "..a:b"])
def test_what_has_no_source_has_no_digest(target: str) -> None:
    assert source_digest(target) is None


def test_a_broken_file_has_no_digest() -> None:
    assert digest_of("def small(:") is None


def test_a_package_that_raises_has_no_digest() -> None:
    Path("raising_package").mkdir()
    Path("raising_package/__init__.py").write_text("raise RuntimeError('no')")
    Path("raising_package/nets.py").write_text(CODE)
    assert source_digest("raising_package.nets:small") is None


KEYWORD = "model.kwargs.widht is no argument of model.target=nets_of_keywords:small. "
NAMED = "model.target=nets_of_keywords:small is called with input_shape, num_classes and model.kwargs"
REGISTERED = "@keras.saving.register_keras_serializable()\n"
IN_CLASS = "class small:\n    def __init__(self, shape, classes, width=4): ..."


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CODE, f"{KEYWORD}Did you mean width?"),
        ("def small(shape, classes, *, k=4): pass", f"{KEYWORD}It takes shape, classes, k."),
        (IN_CLASS, f"{KEYWORD}Did you mean width?"),
        (REGISTERED + IN_CLASS, f"{KEYWORD}Did you mean width?"),
        (
            "def small(shape, classes, widht, depth): ...",
            f"{NAMED} (widht), which it does not take: missing a required argument: 'depth'. "
            "It takes (shape, classes, widht, depth).",
        ),
        (
            "def small(shape, *, widht=4): ...",
            f"{NAMED} (widht), which it does not take: too many positional arguments. "
            "It takes (shape, *, widht=4).",
        ),
    ],
)
def test_arguments_that_a_network_does_not_take_are_refused(code: str, message: str) -> None:
    Path("nets_of_keywords.py").write_text(code)
    with pytest.raises(ConfigError) as caught:
        check_call("model.target", "nets_of_keywords:small", ["widht"])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "code",
    [
        CODE.replace("width=4", "widht=4"),
        "def small(shape, *more, **kwargs): pass",
        "@decorated\ndef small(shape): pass",
        "@decorated\nclass small:\n    def __init__(self): pass",
        "class small: pass",
        "from nets import small",
        "if True:\n    def small(a): pass\nelse:\n    def small(widht): pass",
        "def small(",
    ],
)
def test_other_functions_are_left_to_their_call(code: str) -> None:
    Path("nets_of_keywords.py").write_text(code)
    check_call("model.target", "nets_of_keywords:small", ["widht"])


@pytest.mark.parametrize("key", ["training.metrics", "training.callbacks", "training.loss"])
def test_a_factory_that_needs_arguments_is_refused(key: str) -> None:
    Path("parts_of_keywords.py").write_text("class Part:\n    def __init__(self, gamma): ...")
    with pytest.raises(ConfigError) as caught:
        check_call(key, "parts_of_keywords:Part")
    assert str(caught.value) == (
        f"{key}=parts_of_keywords:Part is called without arguments: missing a required argument: 'gamma'. "
        "Give it a default, or name a function without arguments that passes it."
    )


def test_a_loss_is_called_with_labels_and_probabilities() -> None:
    Path("losses_of_keywords.py").write_text("def fits(a, b): ...\ndef focal(labels, p, gamma): ...")
    check_call("training.loss", "losses_of_keywords:fits")
    with pytest.raises(ConfigError, match="with labels and probabilities.* argument: 'gamma'"):
        check_call("training.loss", "losses_of_keywords:focal")


@pytest.mark.parametrize("code", ["def make(rate): ...", "def make(learning_rate, beta): ..."])
def test_an_optimizer_is_called_with_learning_rate_and_its_keywords(code: str) -> None:
    Path("optimizers_of_keywords.py").write_text(code)
    with pytest.raises(ConfigError, match="is called with learning_rate, clipnorm and optimizer.kwargs"):
        check_call("optimizer.target", "optimizers_of_keywords:make")
    Path("optimizers_of_keywords.py").write_text("def make(learning_rate, beta=1): ...")
    check_call("optimizer.target", "optimizers_of_keywords:make", ["beta"])

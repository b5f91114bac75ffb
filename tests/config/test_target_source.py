"""The digest of a target's code changes with what it computes, and with nothing else."""

import sys
from pathlib import Path

import pytest

from kerasweep.config.target_source import check_keywords, source_digest
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


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CODE, "Did you mean width?"),
        ("def small(shape, classes, *, k=4): pass", "It takes shape, classes, k."),
    ],
)
def test_keyword_that_the_function_lacks_is_refused(code: str, message: str) -> None:
    Path("nets_of_keywords.py").write_text(code)
    with pytest.raises(ConfigError) as caught:
        check_keywords("model.target", "nets_of_keywords:small", ["shape", "widht"])
    assert str(caught.value) == (
        f"model.kwargs.widht is no argument of model.target=nets_of_keywords:small. {message}"
    )


@pytest.mark.parametrize(
    "code",
    [
        CODE.replace("width=4", "widht=4"),
        "def small(shape, **kwargs): pass",
        "@decorated\ndef small(shape): pass",
        "class small: pass",
        "from nets import small",
        "if True:\n    def small(a): pass\nelse:\n    def small(widht): pass",
        "def small(",
    ],
)
def test_other_functions_are_left_to_their_call(code: str) -> None:
    Path("nets_of_keywords.py").write_text(code)
    check_keywords("model.target", "nets_of_keywords:small", ["widht"])

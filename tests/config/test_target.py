"""A target names a function; other targets are refused with a message."""

import subprocess
import sys
from pathlib import Path

import pytest

from kerasweep.config.target import check_arguments, import_target
from kerasweep.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a working directory that Python does not search yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return tmp_path


def test_module_in_the_working_directory_is_found(folder: Path) -> None:
    (folder / "target_of_test.py").write_text("def double(x):\n    return 2 * x\n")
    assert import_target("target_of_test:double")(4) == 8
    assert import_target("target_of_test:double")(5) == 10
    assert sys.path.count(str(folder)) == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("math.sqrt", "is written package.module:function, but got 'math.sqrt'"),
        (":sqrt", "is written package.module:function"),
        ("math:", "is written package.module:function"),
        (".math:sqrt", "is written package.module:function"),
        ("no_such_module:f", "The module no_such_module of 'no_such_module:f' was not found"),
        ("math.deeper:f", "The module math.deeper of 'math.deeper:f' was not found"),
        ("math:no_such", "math has no no_such"),
        ("math:pi", "must name a function, but pi is a float"),
    ],
)
def test_target_that_is_no_function_is_refused(target: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        import_target(target)
    assert message in str(refused.value)


def test_import_error_inside_the_module_is_not_caught(folder: Path) -> None:
    (folder / "needs_more_of_test.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        import_target("needs_more_of_test:f")


def test_import_of_the_old_module_is_answered_with_the_new_one(folder: Path) -> None:
    (folder / "written_before_of_test.py").write_text("from src.outcome import Outcome\n")
    with pytest.raises(ConfigError, match="Write `from kerasweep import Outcome, TrialRef` there"):
        import_target("written_before_of_test:f")


def test_a_class_of_keras_is_checked_without_its_import() -> None:
    """The import would take the sweep's own process seconds."""
    code = (
        "import sys; from kerasweep.config.target import check_target; "
        "from kerasweep.config.target_source import source_digest; check_target('keras.optimizers:Lion'); "
        "print(source_digest('keras.optimizers:Lion'), 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None False\n"


def test_a_misspelt_keyword_of_an_imported_function_gets_a_suggestion() -> None:
    def small(shape: int, width: int = 4) -> None: ...

    with pytest.raises(ConfigError, match="It takes .*width: int = 4.*. Did you mean width?"):
        check_arguments("model.target=nets:small", small, 1, kwargs={"widht": 2}, key="model.kwargs")

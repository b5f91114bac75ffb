"""`--json` prints one object to stdout, whose form docs/json.schema.json gives, and prose to stderr."""

import json
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from kerasweep.commands.answer import Answer
from kerasweep.commands.json_answer import as_object, kind_of
from kerasweep.errors import ConfigError, Terminated
from kerasweep.results import Outcome
from tests import json_schema
from tests.processes import Done, run, run_script, start

SMALL = ("debug=fast", "model.filters=[4]")
INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")
SCHEMA = json.loads(json_schema.FILE.read_text())


def answer_of(done: Done) -> dict[str, Any]:
    """Returns the object on stdout, which must fit the schema and name the exit code."""
    (line,) = done.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    jsonschema.validate(answer, SCHEMA)
    assert answer["exit_code"] == done.code, done.stderr
    return answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Done:
    axes = ("model.kernel_size=3,5", "study.name=sizes")
    return run(folder, "train", "--json", "-m", *SMALL, *axes)


@pytest.fixture(scope="module")
def trained(folder: Path, sweep: Done) -> Done:
    return run(folder, "train", *SMALL, "--json", "model.kernel_size=3")


def test_the_schema_is_that_of_the_results() -> None:
    assert json_schema.FILE.read_text() == json_schema.text(), "run python -m tests.json_schema"


def test_docs_name_each_kind_and_each_field() -> None:
    text = (json_schema.FILE.parent / "json.md").read_text(encoding="utf-8")
    for result in json_schema.RESULTS:
        section = text.partition(f"\n## `{kind_of(result)}`")[2].partition("\n## ")[0]
        fields = SCHEMA["$defs"][result.__name__]["properties"]
        assert [name for name in fields if f"| `{name}` |" not in section] == [], result


def test_a_sweep_gives_its_best_trial_and_all_trials(sweep: Done) -> None:
    answer = answer_of(sweep)
    result = answer["result"]
    assert (answer["kind"], answer["exit_code"], result["is_whole"]) == ("sweep", 0, True)
    assert [trial["overrides"] for trial in result["trials"]] == [
        ["model.kernel_size=3"],
        ["model.kernel_size=5"],
    ]
    assert result["counts"] == {"complete": 2}
    best = max(result["trials"], key=lambda trial: trial["values"][0])
    assert (result["best"]["trial"], result["best"]["params"]) == (best["number"], best["params"])
    assert result["best"]["test_images"] == 200
    assert "finished: all 2 trials are done" in sweep.stderr


def test_a_single_run_gives_its_scores(trained: Done) -> None:
    answer = answer_of(trained)
    result = answer["result"]
    assert (answer["kind"], answer["exit_code"]) == ("trained_run", 0)
    assert result["overrides"] == [*SMALL, "model.kernel_size=3"]
    assert result["test_accuracy"] == result["metrics"]["test_accuracy"]
    assert f"predict: python -m src.predict run_id={result['run_id']}" in trained.stderr


def test_a_dry_run_gives_the_configurations(folder: Path) -> None:
    spoilt = ("model.kernel_size=3,5,0", "study.dry_run=true")
    answer = answer_of(run(folder, "train", "-m", *SMALL, *spoilt, "--json"))
    sizes = [each["parameters"] for each in answer["result"]["configurations"] if each["reason"] is None]
    assert (answer["kind"], answer["result"]["trials"], sizes) == ("dry_run", 2, [702, 766])


def test_compare_gives_the_ranking_and_the_files(folder: Path, sweep: Done) -> None:
    best = answer_of(sweep)["result"]["best"]
    answer = answer_of(run(folder, "compare", "study=sizes", "--json"))
    result = answer["result"]
    assert answer["kind"] == "comparison"
    assert result["groups"][0]["values"] == {"kernel_size": str(best["params"]["kernel_size"])}
    assert result["winners"][0]["run_id"] == best["run_id"]
    assert Path(result["csv"]).exists() and Path(result["html"]).exists()


def test_predict_gives_the_probabilities(folder: Path, trained: Done) -> None:
    Image.new("L", (8, 8), 200).save(folder / "a.png")
    run_id = answer_of(trained)["result"]["run_id"]
    answer = answer_of(run(folder, "predict", "--json", f"run_id={run_id}", "images=[a.png]"))
    (image,) = answer["result"]["images"]
    assert (answer["kind"], answer["result"]["run_id"], image["path"]) == ("predictions", run_id, "a.png")
    assert image["class_name"] == max(image["probabilities"], key=image["probabilities"].get)
    assert sum(image["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_rerun_gives_the_verdict(folder: Path, trained: Done) -> None:
    run_id = answer_of(trained)["result"]["run_id"]
    answer = answer_of(run(folder, "rerun", f"run_id={run_id}", "--json"))
    assert (answer["kind"], answer["result"]["rerun_of"]) == ("rerun", run_id)
    assert answer["result"]["is_equal"] is (answer["exit_code"] == 0)


def test_refit_export_and_promote_give_their_results(folder: Path, sweep: Done) -> None:
    refit = answer_of(run(folder, "refit", "sweep=sizes", "--json"))
    (seed,) = refit["result"]["seeds"]
    assert (refit["kind"], refit["result"]["mean_test_accuracy"]) == ("refit", seed["test_accuracy"])
    named = f"run_id={seed['run_id']}"
    export = answer_of(run(folder, "export", named, "format=saved_model", "--json"))
    (exported,) = export["result"]["formats"]
    assert (export["kind"], exported["same_class"]) == ("export", export["result"]["test_images"])
    assert Path(exported["folder"]).is_dir()
    first = answer_of(run(folder, "promote", named, "name=digits", "--json"))
    assert (first["kind"], first["exit_code"], first["result"]["aliases"]) == ("promotion", 0, ["champion"])
    again = answer_of(run(folder, "promote", "--json", named, "name=digits"))["result"]
    assert (again["version"], again["test_accuracy"]) == (first["result"]["version"], None)
    best = answer_of(sweep)["result"]["best"]["run_id"]
    second = answer_of(run(folder, "promote", f"run_id={best}", "name=digits", "--json"))
    assert second["exit_code"] == (0 if second["result"]["is_champion"] else 3)
    assert second["result"]["compared_with"] == first["result"]["version"]
    assert second["result"]["paired"]["images"] == second["result"]["paired"]["images"]


@pytest.mark.parametrize(
    ("module", "arguments", "code", "kind", "message"),
    [
        (
            "train",
            ("--json", "-m", "model.kernel_sizes=3"),
            2,
            "ConfigError",
            "There is no key model.kernel_sizes. Did you mean model.kernel_size?",
        ),
        ("train", ("zzzz=3", "--json"), 1, "ConfigError", "Could not override 'zzzz'."),
        ("train", ("--json", "--foo"), 2, "ConfigError", "unrecognized arguments: --foo"),
        (
            "train",
            ("--help", "--json"),
            2,
            "ConfigError",
            "--json gives the result of a command, but --help shows something else. Leave one out.",
        ),
        ("train", ("--config-dir", "absent", "--json"), 1, "ConfigError", "Additional config directory"),
        ("train", ("--json", "data=npz", "data.path=absent.npz"), 2, "DataError", "absent.npz"),
        ("compare", ("study=absent", "--json"), 2, "TrackingError", "No run"),
        ("predict", ("run_id=abcdef12", "images=[a.png]", "--json"), 2, "DataError", "a.png"),
        ("rerun", ("run_id=abcdef12", "--json"), 2, "TrackingError", "No runs are recorded yet"),
        ("refit", ("--json",), 2, "ConfigError", "src.refit needs the winner of a sweep or a run"),
        ("export", ("--json", "run_id=abcdef12", "format=tar"), 2, "ConfigError", "tar"),
        ("promote", ("run_id=abcdef12", "--json", "name=digits"), 2, "TrackingError", "No runs are"),
    ],
)
def test_an_error_is_an_object_too(
    tmp_path: Path, module: str, arguments: tuple[str, ...], code: int, kind: str, message: str
) -> None:
    done = run(tmp_path, module, *arguments)
    answer = answer_of(done)
    assert (answer["exit_code"], answer["error"]["type"]) == (code, kind), answer
    assert message in answer["error"]["message"]
    assert answer["error"]["message"] in " ".join(done.stderr.split("\n"))


def test_a_fault_in_the_users_code_has_a_traceback_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("def broken(input_shape, num_classes):\n    return 1 / 0\n")
    done = run(tmp_path, "train", "--json", "model=custom", "model.target=nets:broken")
    answer = answer_of(done)
    assert answer["error"] == {"type": "ZeroDivisionError", "message": "division by zero"}
    assert (done.code, "nets.py" in done.stderr) == (1, True)


def test_no_complete_trial_is_exit_code_1_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("def train(*given):\n    raise ValueError('no luck')\n")
    axes = ("optimizer.learning_rate=0.1,0.2", "trial.target=fails:train", "hydra/launcher=basic")
    answer = answer_of(run(tmp_path, "train", "-m", *axes, "--json"))
    result = answer["result"]
    assert (answer["exit_code"], result["best"], result["counts"]) == (1, None, {"failed": 2})
    assert [trial["reason"] for trial in result["trials"]] == ["ValueError: no luck"] * 2


def test_ctrl_c_is_an_object_too(tmp_path: Path) -> None:
    axes = ("optimizer.learning_rate=0.1,0.2,0.3", "trial.target=benchmarks.targets:sleeping", "workers=1")
    process = start(tmp_path, "train", "-m", *axes, "--json")
    while "learning_rate" not in process.stderr.readline():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert json.loads(stdout) == {
        "error": {"type": "KeyboardInterrupt", "message": "stopped"},
        "exit_code": 130,
    }
    assert process.returncode == 130 and stderr.endswith("stopped\n")


@pytest.mark.parametrize("place", range(4))
def test_the_option_may_stand_anywhere(tmp_path: Path, place: int) -> None:
    (tmp_path / "own" / "study").mkdir(parents=True)
    (tmp_path / "own" / "study" / "mine.yaml").write_text(
        "# @package _global_\nstudy:\n  name: mine\n  space: {optimizer.learning_rate: '0.1,0.2'}\n"
        "  trials: 2\nhydra: {mode: MULTIRUN}\n"
    )
    arguments = ["--config-dir=own", "study=mine", *INSTANT]
    answer = answer_of(run(tmp_path, "train", *arguments[:place], "--json", *arguments[place:]))
    assert (answer["kind"], answer["result"]["study"], len(answer["result"]["trials"])) == (
        "sweep",
        "mine",
        2,
    )


def test_the_installed_command_knows_the_option(tmp_path: Path) -> None:
    program = "from kerasweep.commands.start import train; train()"
    axes = ("optimizer.learning_rate=0.1,0.2", *INSTANT)
    answer = answer_of(run_script(tmp_path, "-c", program, "-m", *axes, "--json"))
    assert answer["result"]["total"] == 2


@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [
        (Answer(error=ConfigError("Two\nlines.")), 2, ("ConfigError", "Two lines.")),
        (Answer(error=Terminated()), 143, ("Terminated", "stopped")),
        (Answer(), 1, ("SystemExit", "the command ended without a result; stderr says why")),
    ],
)
def test_each_end_has_a_type_and_a_message(answer: Answer, code: int, expected: tuple[str, str]) -> None:
    kind, message = expected
    assert as_object(answer, code) == {"error": {"type": kind, "message": message}, "exit_code": code}


def test_bytes_that_are_no_utf8_become_escapes() -> None:
    name, escaped = "caf\udce9", "caf\\udce9"
    given = as_object(Answer(Outcome("complete", name, (0.5,), {name: 1.0}, reason=name)), 0)["result"]
    assert (given["run_id"], given["metrics"], given["reason"]) == (escaped, {escaped: 1.0}, escaped)
    error = as_object(Answer(error=ValueError(name)), 1)["error"]
    assert error["message"] == escaped


def test_a_number_that_is_not_finite_is_null() -> None:
    nan: Callable[..., Outcome] = partial(Outcome, "complete", "67f485f8")
    given = as_object(Answer(nan((float("nan"), 1.0), {"loss": float("inf")})), 0)
    assert given["result"]["values"] == [None, 1.0] and given["result"]["metrics"] == {"loss": None}

"""`src.promote` registers a model, and makes it champion if it beats the champion on the same test images."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from kerasweep.commands.command_line import quoted
from kerasweep.commands.promote import CHALLENGER
from kerasweep.data import prepare
from kerasweep.errors import ConfigError, DataError, TrackingError
from kerasweep.results import State
from tests import processes
from tests.handover.promoter import WRONG, Promoter
from tests.handover.recorded_runs import SHAPE, RecordedRuns


@pytest.fixture(scope="session")
def recorded(copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> RecordedRuns:
    database = copy_database(tmp_path_factory.mktemp("promoted"))
    return RecordedRuns(f"sqlite:///{database}", database.parent, WRONG)


@pytest.fixture(scope="session")
def runs(recorded: RecordedRuns) -> dict[str, str]:
    """Returns the id of a complete run of each model."""
    return {name: recorded.record(name) for name in WRONG}


@pytest.fixture(scope="session")
def with_champion(runs: dict[str, str], recorded: RecordedRuns) -> Path:
    """Returns a copy of the database in which the first model is champion of `digits`."""
    path = Path(shutil.copy(recorded.folder / "mlflow.db", recorded.folder / "champion.db"))
    Promoter(f"sqlite:///{path}")(runs["first"])
    return path


@pytest.fixture
def empty(
    recorded: RecordedRuns, runs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Promoter:
    """Returns a promoter in a copy of the database, whose registry is empty."""
    monkeypatch.chdir(tmp_path)
    return Promoter(f"sqlite:///{shutil.copy(recorded.folder / 'mlflow.db', tmp_path / 'copied.db')}")


@pytest.fixture
def promoter(with_champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Promoter:
    """Returns a promoter in a copy of the database in which the first model is champion of `digits`."""
    monkeypatch.chdir(tmp_path)
    return Promoter(f"sqlite:///{shutil.copy(with_champion, tmp_path / 'copied.db')}")


def test_first_model_is_champion_and_can_be_judged(empty: Promoter, runs: dict[str, str]) -> None:
    code, lines = empty(runs["first"][:8])
    assert code == 0
    assert lines[:2] == [
        f"run {runs['first'][:8]}: accuracy 0.6667 (0.5406 to 0.7727) on 60 test images",
        "version 1 of digits is the champion: there was no champion.",
    ]
    assert lines[2].startswith("browse:  mlflow ui --backend-store-uri ")
    assert lines[3] == (
        "predict: python -m src.predict model=models:/digits@champion images=[IMAGE.png] "
        f"tracking.uri='{empty.uri}'"
    )
    assert empty.registry() == {"digits": ({"champion": "1"}, 1)}
    version = empty.client.get_model_version("digits", "1")
    run = empty.client.get_run(runs["first"])
    assert version.run_id == runs["first"]
    assert version.description == "Champion: there was no champion."
    assert version.tags == {
        "test_score": "0.6667 (0.5406 to 0.7727)",
        "test_accuracy": "0.666667",
        "test_low": "0.540569",
        "test_high": "0.772707",
        "run_id": runs["first"],
        "input": "4×6×1",
        "classes": "2",
        "parameters": "48",
        "training_images": "32",
        "test_images": "60",
        "data_digest": run.inputs.dataset_inputs[0].dataset.digest,
        "class_names": '["0", "1"]',
        "decision": "champion",
        "promotion": "there was no champion",
        "weakest_class": "0: recall 0.6667, 10 of its 30 images are called 1",
        "compared_with": "none",
        "only_this_right": "none",
        "only_other_right": "none",
        "difference": "none",
        "mcnemar_p": "none",
        "forced": "none",
        "complete": "true",
    }
    assert run.data.tags["registered_model"] == "digits"
    assert run.data.tags["registered_version"] == "1"
    logged = empty.client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "digits", "version": "1"}]


def test_model_that_is_better_beyond_chance_becomes_champion(
    promoter: Promoter, runs: dict[str, str]
) -> None:
    code, lines = promoter(runs["better"])
    assert code == 0
    assert lines[:4] == [
        f"run {runs['better'][:8]}: accuracy 0.8667 (0.7583 to 0.9309) on 60 test images",
        "version 1: accuracy 0.6667 (0.5406 to 0.7727) on the same images",
        f"only run {runs['better'][:8]} is right on 12, only version 1 on 0: McNemar's exact p 0.00049; "
        "difference +0.2000 (+0.1183 to +0.3178)",
        "version 2 of digits is the champion: it is right on 12 more test images than version 1, beyond "
        "chance "
        "(p 0.00049).",
    ]
    assert promoter.registry() == {"digits": ({"champion": "2"}, 2)}
    assert promoter.tags("2")["compared_with"] == "1"


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            "similar",
            "it is right on 3 more test images than version 1, which may be chance (p 0.38). It would "
            "have to be "
            "right on 6 more than version 1 (+0.1000); if it is as much better as it seems, about 280 test "
            "images would tell.",
        ),
        (
            "equal",
            "it is right on as many test images as version 1. It would have to be right on 6 more than "
            "version 1 (+0.1000).",
        ),
        (
            "worse",
            "it is right on 20 fewer test images than version 1, beyond chance (p < 0.0001). It would "
            "have to be "
            "right on 10 more than version 1 (+0.1667).",
        ),
    ],
)
def test_model_that_is_not_better_becomes_challenger(
    promoter: Promoter, runs: dict[str, str], model: str, sentence: str
) -> None:
    code, lines = promoter(runs[model])
    assert code == CHALLENGER == 3
    assert lines[3] == f"version 2 of digits is the challenger: {sentence}"
    assert promoter.registry() == {"digits": ({"champion": "1", "challenger": "2"}, 2)}
    assert promoter.client.get_model_version("digits", "2").description == f"Challenger: {sentence}"


def test_run_is_registered_once(promoter: Promoter, runs: dict[str, str]) -> None:
    promoter(runs["worse"])
    before = promoter.registry()
    assert promoter(runs["first"]) == (
        0,
        [f"The run {runs['first']} is already version 1 of digits, with the alias champion."],
    )
    assert promoter(runs["worse"]) == (
        CHALLENGER,
        [
            f"The run {runs['worse']} is already version 2 of digits, with the alias challenger.",
            "force=true reason=TEXT makes it the champion.",
        ],
    )
    assert (
        "note: comparison 2 of digits on this test set; each p is that of one comparison"
        in promoter(runs["similar"])[1]
    )
    assert promoter(runs["worse"])[1][0].endswith("of digits, without an alias.")
    assert promoter.registry() == {"digits": ({"champion": "1", "challenger": "3"}, before["digits"][1] + 1)}
    assert promoter(runs["worse"], name="others")[0] == 0


def test_force_makes_a_champion_and_keeps_the_reason(promoter: Promoter, runs: dict[str, str]) -> None:
    promoter(runs["worse"])
    code, lines = promoter(runs["worse"], "force=true", "reason='it is small, and fast'")
    assert code == 0
    assert lines[3] == (
        "version 2 of digits is the champion: by force, because it is small, and fast; it is right on 20 "
        "fewer "
        "test images than version 1, beyond chance (p < 0.0001)."
    )
    assert promoter.registry() == {"digits": ({"champion": "2"}, 2)}
    assert promoter.tags("2")["forced"] == "it is small, and fast"
    again = promoter(runs["worse"], "force=true", "reason=again")
    assert again[1] == [f"The run {runs['worse']} is already version 2 of digits, with the alias champion."]
    back = promoter(runs["first"], "force=true", "reason=sorry")
    assert back[0] == 0
    assert promoter.registry() == {"digits": ({"champion": "1"}, 2)}


def test_two_reasons_of_the_user_come_together(empty: Promoter, runs: dict[str, str]) -> None:
    assert empty.refused(ConfigError, runs["first"], "force=true") == (
        "force=true needs a reason, which the registry keeps, as in reason='the champion is too large'."
    )
    assert empty.refused(ConfigError, runs["first"], "force=true", "reason=' '").startswith("force=true ")
    assert empty.refused(ConfigError, runs["first"], "reason=small") == (
        "reason=small is used with force=true. Add it, or leave reason out."
    )


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", "a@b", 'a"b'])
def test_name_that_has_no_address_is_refused(empty: Promoter, runs: dict[str, str], name: str) -> None:
    assert empty.refused(ConfigError, runs["first"], name=name) == (
        f'name needs a name without / : @ ", as in name=digits, but got {name.strip() or "none"}.'
    )


def test_name_that_mlflow_refuses_is_refused(empty: Promoter, runs: dict[str, str]) -> None:
    message = empty.refused(TrackingError, runs["first"], name="..")
    assert message.startswith(f"MLflow at {empty.uri} says: Invalid value \"..\" for parameter 'name'")


@pytest.mark.parametrize("name", ["it''s", "손글씨 숫자", "7"])
def test_name_may_be_any_other_text(empty: Promoter, runs: dict[str, str], name: str) -> None:
    empty(runs["first"], name=name.replace("''", "\\'"))
    code, lines = empty(runs["first"], name=name.replace("''", "\\'"))
    assert code == 0
    assert lines[0].startswith(
        f"The run {runs['first']} is already version 1 of {name.replace(2 * chr(39), chr(39))}, "
    )


@pytest.mark.parametrize(
    ("argument", "quoted_argument"),
    [
        ("run_id=12e456", "run_id='12e456'"),
        ("name=7", "name='7'"),
        ("reason=old, slow: it's \\", "reason='old, slow: it\\'s \\\\'"),
        ('reason="a b"', 'reason="a b"'),
        ("reason=null", "reason=null"),
        ("force=true", "force=true"),
    ],
)
def test_texts_need_no_quotes_for_hydra(argument: str, quoted_argument: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert quoted(argument) == quoted_argument
    value = OverridesParser.create().parse_override(quoted(argument)).value()
    if argument == "reason=old, slow: it's \\":
        assert value == "old, slow: it's \\"


@pytest.mark.parametrize(
    ("model", "state", "message"),
    [
        (
            None,
            State.COMPLETE,
            "The run {} has no model: a sweep saves the model of its best trial, and with ",
        ),
        ("first", State.FAILED, "The run {} is failed (no luck): its model is not complete."),
        ("first", None, "The run {} is not finished yet: its model is not complete."),
    ],
)
def test_run_without_a_complete_model_is_refused(
    recorded: RecordedRuns, empty: Promoter, model: str | None, state: State | None, message: str
) -> None:
    run_id = recorded.record(model, state=state)
    shutil.copy(recorded.folder / "mlflow.db", empty.uri.removeprefix("sqlite:///"))
    assert empty.refused(TrackingError, run_id).startswith(message.format(run_id))


def test_unknown_and_ambiguous_runs_are_refused(empty: Promoter, runs: dict[str, str]) -> None:
    assert empty.refused(TrackingError, "0" * 32).startswith(f"No run {'0' * 32} in the experiment ")
    client = empty.client
    with closing(sqlite3.connect(empty.uri.removeprefix("sqlite:///"))) as connection, connection:
        for number in (1, 2):
            run = client.create_run(client.get_experiment_by_name("kerasweep").experiment_id)
            new = f"abcdef{number:026}"
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("UPDATE runs SET run_uuid = ? WHERE run_uuid = ?", (new, run.info.run_id))
            connection.commit()
    assert empty.refused(TrackingError, "abcdef") == (
        "abcdef begins the ids of 2 runs. Give more digits of the one."
    )


@pytest.fixture
def record(recorded: RecordedRuns, promoter: Promoter) -> Callable[..., str]:
    """Returns a function that records a run in the test's copy of the database."""
    copy = RecordedRuns(promoter.uri, Path(promoter.uri.removeprefix("sqlite:///")).parent, WRONG)
    return copy.record


def test_model_of_other_data_is_refused_with_the_keys_that_differ(
    recorded: RecordedRuns, record: Callable[..., str], promoter: Promoter, runs: dict[str, str]
) -> None:
    other = recorded.with_label("other.npz", 0)
    run_id = record("better", "data.seed=7", data=other)
    digests = [
        promoter.client.get_run(each).inputs.dataset_inputs[0].dataset.digest
        for each in (runs["first"], run_id)
    ]
    expected = (
        f"The champion, version 1 of digits, was trained on data with the digest {digests[0]}, but those "
        f"of the "
        f"run {run_id} have {digests[1]}; data.seed 0, 7 here. Models of different data are not compared: "
        "promote this one under another name."
    )
    assert promoter.refused(DataError, run_id) == expected
    assert promoter.refused(DataError, run_id, "force=true", "reason=new") == expected
    assert promoter(run_id, name="others")[0] == 0


@pytest.mark.parametrize(
    ("class_names", "difference"),
    [
        (["0", "cat"], "only the champion has 1; only this model has cat"),
        (["1", "0"], "they are in the order 0, 1, …"),
    ],
)
def test_model_of_other_classes_is_refused(
    record: Callable[..., str],
    promoter: Promoter,
    runs: dict[str, str],
    class_names: list[str],
    difference: str,
) -> None:
    run_id = record("better", class_names=class_names)
    assert promoter.refused(DataError, run_id) == (
        f"The champion, version 1 of digits, has other classes: {difference}. Models of different data "
        f"are not "
        "compared: promote this one under another name."
    )


def test_images_are_found_where_they_have_moved(
    recorded: RecordedRuns, record: Callable[..., str], empty: Promoter, tmp_path: Path
) -> None:
    before, after = tmp_path / "before.npz", tmp_path / "after.npz"
    shutil.copy(recorded.data, before)
    run_id = record("better", data=before)
    before.rename(after)
    prepare.forget_data()  # as in a new process
    message = empty.refused(DataError, run_id)
    assert str(before) in message
    assert empty.refused(DataError, run_id, f"data.path='{recorded.with_label('changed.npz', 0)}'").endswith(
        "the images changed. Restore them, or name an unchanged copy with data.path."
    )
    assert empty(run_id, f"data.path='{after}'")[0] == 0


def test_both_models_are_run_on_the_candidates_part_of_the_test_set(
    record: Callable[..., str], promoter: Promoter, runs: dict[str, str]
) -> None:
    code, lines = promoter(record("better", "data.limit=30"))
    assert lines[0].endswith("on 30 test images")
    assert promoter.tags("2")["test_images"] == "30"
    only_this = int(promoter.tags("2")["only_this_right"])
    assert 0 < only_this < 12
    assert code == (0 if only_this >= 6 else CHALLENGER)


def test_what_the_sweep_and_a_rerun_said_is_recorded(record: Callable[..., str], empty: Promoter) -> None:
    sweep = {"sweep": "s-1", "study": "filters", "objective": "val_accuracy maximize", "dataset": "npz"}
    record(None, tags={"kind": "study", "sweep": "s-1", "verdict": "supported"})
    run_id = record(
        "better",
        tags={**sweep, "kind": "trial"},
        metrics={"objective": 0.9123456789, "best_epoch": 3.0, "test_accuracy": 0.9, "test_images": 60.0},
    )
    record(None, tags={"rerun_of": run_id, "rerun_verdict": "equal: 3 epochs, all metrics bitwise"})
    _, lines = empty(run_id)
    assert lines[1] == "note: the run recorded the test accuracy 0.9000, but its model has 0.8667 here"
    tags = empty.tags("1")
    assert {
        key: tags[key]
        for key in ("study", "sweep", "dataset", "verdict", "chosen_by", "best_epoch", "chosen_out_of")
    } == {
        "study": "filters",
        "sweep": "s-1",
        "dataset": "npz",
        "verdict": "supported",
        "chosen_by": "val_accuracy 0.912346",
        "best_epoch": "3",
        "chosen_out_of": "1 trials (1 complete)",
    }
    assert tags["rerun_verdict"] == "equal: 3 epochs, all metrics bitwise"
    artifacts = {artifact.path for artifact in empty.client.list_artifacts(run_id)}
    assert {"MODEL_CARD.md", "confusion_matrix.png"} <= artifacts


def test_champion_that_cannot_be_loaded_is_replaced_only_by_force(
    promoter: Promoter, runs: dict[str, str]
) -> None:
    promoter.client.delete_run(runs["first"])
    message = promoter.refused(TrackingError, runs["better"])
    assert message.startswith(f"The run {runs['first']} was deleted. Restore it with: ")
    assert message.endswith(
        "So the champion, version 1 of digits, cannot be compared. force=true reason=TEXT promotes without a "
        "comparison."
    )
    code, lines = promoter(runs["better"], "force=true", "reason=deleted")
    assert (code, lines[1]) == (0, "version 2 of digits is the champion: by force, because deleted.")


def test_version_that_was_registered_by_hand_is_completed(empty: Promoter, runs: dict[str, str]) -> None:
    client = empty.client
    client.create_registered_model("digits")
    for name in ("first", "better"):
        location = client.get_logged_model(client.get_run(runs[name]).outputs.model_outputs[0].model_id)
        client.create_model_version("digits", location.artifact_location, runs[name])
    client.set_registered_model_alias("digits", "champion", "1")
    assert empty(runs["better"])[1][3].startswith("version 2 of digits is the champion: it is right on 12 ")
    assert empty.registry() == {"digits": ({"champion": "2"}, 2)}
    client.set_registered_model_alias("digits", "champion", "1")
    assert empty(runs["first"])[1][1] == "version 1 of digits is the champion: it had this alias already."
    assert empty.tags("1")["test_score"] == "0.6667 (0.5406 to 0.7727)"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "./registry",
            "MLFLOW_REGISTRY_URI must be a database or a server, but got ./registry: MLflow no longer "
            "registers "
            "models in folders. Unset it, or name one such as sqlite:///mlruns/mlflow.db or "
            "http://localhost:5000.",
        ),
        (
            "file:///registry",
            "MLFLOW_REGISTRY_URI must be a database or a server, but got file:///registry: MLflow no longer "
            "registers models in folders. Unset it, or name one such as sqlite:///mlruns/mlflow.db or "
            "http://localhost:5000.",
        ),
        (
            "sqlite:///absent.db",
            "MLFLOW_REGISTRY_URI names sqlite:///absent.db, but there is no such file. Correct or unset it.",
        ),
    ],
)
def test_registry_that_is_not_there_is_named(
    empty: Promoter,
    runs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    uri: str,
    message: str,
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    with pytest.raises(TrackingError) as raised:
        empty(runs["first"])
    assert str(raised.value) == message
    assert not (tmp_path / "absent.db").exists()


def test_registry_may_be_another_database(
    empty: Promoter,
    runs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    empty_database: Path,
) -> None:
    shutil.copy(empty_database, tmp_path / "registry.db")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:///registry.db")
    empty(runs["first"])
    assert empty(runs["better"])[0] == 0
    assert empty.registry() == {"digits": ({"champion": "2"}, 2)}
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert empty.registry() == {}


def test_database_that_refuses_writing_is_named(empty: Promoter, runs: dict[str, str]) -> None:
    with closing(sqlite3.connect(empty.uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON registered_models "
            "BEGIN INSERT INTO absent VALUES (1); END"
        )
    message = empty.refused(TrackingError, runs["first"])
    assert message.startswith(f"MLflow at {empty.uri} says: ")
    assert "no such table: main.absent" in message


KILL = """
import os, signal, sys
from mlflow import MlflowClient

method, moment = sys.argv.pop(1).split(":")
call = getattr(MlflowClient, method)


def killed(*arguments, **options):
    if moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    call(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)


setattr(MlflowClient, method, killed)
from kerasweep.commands.start import promote

promote()
"""


@pytest.mark.parametrize(
    ("model", "moment"),
    [
        *(("better", moment) for moment in ("create_model_version:before", "create_model_version:after")),
        *(("better", f"set_registered_model_alias:{moment}") for moment in ("before", "after")),
        *(("better", moment) for moment in ("set_logged_model_tags:before", "set_tag:after")),
        ("better", "set_model_version_tag:before"),
        *(("worse", moment) for moment in ("create_model_version:after", "set_registered_model_alias:after")),
    ],
)
def test_kill_is_healed_by_the_same_command(
    promoter: Promoter, runs: dict[str, str], tmp_path: Path, model: str, moment: str
) -> None:
    arguments = (f"run_id={runs[model]}", "name=digits", f"tracking.uri={promoter.uri}")
    ended = processes.run_script(tmp_path, "-c", KILL, moment, *arguments)
    assert ended.code == -9, ended
    code, _ = promoter(runs[model])
    is_champion = model == "better"
    aliases = {"champion": "2"} if is_champion else {"champion": "1", "challenger": "2"}
    assert promoter.registry() == {"digits": (aliases, 2)}
    assert code == (0 if is_champion else CHALLENGER)
    assert promoter.tags("2")["complete"] == "true"
    assert promoter.client.get_run(runs[model]).data.tags["registered_version"] == "2"
    assert "is already version" in promoter(runs[model])[1][0]


def test_kill_before_the_first_version_is_healed(
    empty: Promoter, runs: dict[str, str], tmp_path: Path
) -> None:
    arguments = (f"run_id={runs['first']}", "name=digits", f"tracking.uri={empty.uri}")
    processes.run_script(tmp_path, "-c", KILL, "create_registered_model:after", *arguments)
    assert empty.registry() == {"digits": ({}, 0)}
    assert empty(runs["first"])[0] == 0
    assert empty.registry() == {"digits": ({"champion": "1"}, 1)}


def test_champion_of_a_killed_promotion_gets_its_alias_from_the_next_one(
    empty: Promoter, runs: dict[str, str], tmp_path: Path
) -> None:
    arguments = (f"run_id={runs['better']}", "name=digits", f"tracking.uri={empty.uri}")
    processes.run_script(tmp_path, "-c", KILL, "set_registered_model_alias:before", *arguments)
    assert empty.registry() == {"digits": ({}, 1)}
    assert empty(runs["worse"])[0] == CHALLENGER
    assert empty.registry() == {"digits": ({"champion": "1", "challenger": "2"}, 2)}


@pytest.mark.parametrize("models", [("better", "similar"), ("better", "better")])
def test_two_promotions_at_once_wait_for_each_other(
    empty: Promoter, runs: dict[str, str], tmp_path: Path, models: tuple[str, str]
) -> None:
    started = [
        processes.start(
            tmp_path, "promote", f"run_id={runs[model]}", "name=digits", f"tracking.uri={empty.uri}"
        )
        for model in models
    ]
    outputs = [process.communicate(timeout=240) for process in started]
    assert all(stderr == "" for _, stderr in outputs), outputs
    aliases, versions = empty.registry()["digits"]
    assert versions == len(set(models))
    champion = empty.client.get_model_version("digits", aliases["champion"])
    assert champion.run_id == runs["better"]
    assert started[0].returncode == 0


WITHOUT_KERASWEEP = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "kerasweep":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import warnings
warnings.simplefilter("ignore")
import keras, mlflow, numpy as np

mlflow.set_tracking_uri(sys.argv[1])
folder = mlflow.artifacts.download_artifacts("models:/digits@champion")
model = keras.models.load_model(f"{folder}/data/model.keras")
print(model.predict(np.full((1, 4, 6, 1), 255, "uint8"), verbose=0).argmax())
assert not any(name.startswith("kerasweep") for name in sys.modules)
"""


def test_champion_is_loaded_by_keras_alone_and_by_predict(
    promoter: Promoter, runs: dict[str, str], tmp_path: Path
) -> None:
    alone = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_KERASWEEP, promoter.uri],
        cwd=tmp_path,
        env=processes.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (alone.returncode, alone.stdout.strip().splitlines()[-1]) == (0, "1"), alone.stderr
    Image.new("L", (SHAPE[1], SHAPE[0]), 255).save(tmp_path / "a.png")
    predicted = processes.run(
        tmp_path, "predict", "model=models:/digits@champion", "images=[a.png]", f"tracking.uri={promoter.uri}"
    )
    assert predicted.stdout == "a.png: 1  (1 88.1%, 0 11.9%)\n"


def test_command_says_why_in_one_line_and_with_its_code(
    promoter: Promoter, runs: dict[str, str], tmp_path: Path
) -> None:
    arguments = (f"run_id={runs['first']}", f"tracking.uri={promoter.uri}")
    refused = processes.run(tmp_path, "promote", *arguments)
    assert (refused.code, refused.stdout) == (2, "")
    assert refused.stderr == "error: name needs the name of a registered model, as in name=digits.\n"
    assert processes.run(tmp_path, "promote", *arguments, "name=digits").code == 0
    worse = processes.run(
        tmp_path, "promote", f"run_id={runs['worse']}", f"tracking.uri={promoter.uri}", "name=digits"
    )
    assert (worse.code, worse.stderr) == (3, "")
    forced = processes.run(
        *(tmp_path, "promote", f"run_id={runs['worse']}", f"tracking.uri={promoter.uri}", "name=digits"),
        *("force=true", "reason=smaller, and it's fast"),
    )
    assert (forced.code, forced.stderr) == (0, "")
    assert promoter.tags("2")["forced"] == "smaller, and it's fast"

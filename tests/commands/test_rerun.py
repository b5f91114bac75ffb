"""`src.rerun` trains any recorded run again, and says whether the bits are equal."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from kerasweep.commands.recorded_config import compose_again
from kerasweep.commands.rerun import DIFFERS, rerun
from kerasweep.commands.rerun import run as run_command_line
from kerasweep.commands.single import train_in_run
from kerasweep.config.folders import config_folder
from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError, KerasweepError
from kerasweep.results import State, TrialRef
from kerasweep.tracking.reader import find_runs, get_run
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import run_tags
from kerasweep.tracking.writer import Tracker, open_tracker
from kerasweep.training.numerics import THREAD_VARIABLES
from kerasweep.trial.run import read_data
from tests.processes import run, start

Configured = Callable[..., DictConfig]
ENVIRONMENT = (*THREAD_VARIABLES, "TF_ENABLE_ONEDNN_OPTS", "CUDA_VISIBLE_DEVICES")
DETERMINISTIC = ("training.deterministic=true", "training.epochs=3")


def composing() -> initialize_config_dir:
    """Returns the context of Hydra in which the command composes."""
    return initialize_config_dir(config_folder("conf"), version_base="1.3")


class Recorder:
    """Records runs in a database, and runs them again."""

    def __init__(self, uri: str, folder: Path, configured: Configured) -> None:
        self.tracking = TrackingConf(uri=uri)
        self.tracker = open_tracker(self.tracking)
        self.folder = folder
        self.configured = configured

    def record(self, *overrides: str, end_after: int | None = None, **tags: str) -> RunRecord:
        """Trains a network as a single run, or with tags as a trial, perhaps ended by a pruner."""
        cfg = self.configured(*overrides)
        cfg.tracking.uri = self.tracking.uri
        number = int(tags["trial"]) if "trial" in tags else None
        outcome = train_in_run(
            cfg,
            read_data(cfg),
            self.tracker,
            "recorded",
            {**run_tags(cfg, {}), **tags},
            TrialRef("", number, overrides=overrides),
            lambda epoch, value: epoch == end_after,
            self.folder,
        )
        return get_run(self.tracking, outcome.run_id)

    def again(self, run_id: str, *changes: str) -> tuple[int, RunRecord]:
        """Returns the exit code of src.rerun, and the new run."""
        cfg = OmegaConf.create({"run_id": run_id, "code": "here"})
        cfg.tracking = OmegaConf.structured(self.tracking)
        with composing(), pytest.MonkeyPatch.context() as patch:
            for name in ENVIRONMENT:  # they are restored afterwards
                patch.setenv(name, os.environ.get(name, ""))
            code = rerun(cfg, self.folder, changes, [])
        (newest, *_) = find_runs(self.tracking, {"rerun_of": get_run(self.tracking, run_id).run_id})
        return code, newest


@pytest.fixture(scope="module")
def recorder(
    copy_database: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
    configured: Configured,
) -> Recorder:
    folder = tmp_path_factory.mktemp("rerun")
    return Recorder(f"sqlite:///{copy_database(folder)}", folder, configured)


@pytest.fixture(scope="module")
def single(recorder: Recorder) -> RunRecord:
    return recorder.record(*DETERMINISTIC, "optimizer=sgd", "schedule=cosine", "model.dropout=0.2")


@pytest.mark.parametrize(
    "overrides",
    [
        (
            *("optimizer=adamw", "schedule=warmup_cosine", "augment=flip_crop", "augment.crop_padding=1"),
            *("training.precision=mixed_float16", "data.split_seed=4", "data.labels=one_hot"),
        ),
        (
            "training.checkpoint.enabled=true",
            "training=early_stopping",
            "schedule=plateau",
            "training.seed=5",
        ),
        ("model=custom", "model.target=tests.training.networks:dropping"),
    ],
)
def test_every_kind_of_training_has_equal_bits(recorder: Recorder, overrides: tuple[str, ...]) -> None:
    recorded = recorder.record(*DETERMINISTIC, *overrides)
    code, again = recorder.again(recorded.run_id[:6])
    assert again.tags["rerun_verdict"] == "equal: 3 epochs, all metrics and weights bitwise"
    assert code == 0
    assert again.tags["weights_digest"] == recorded.tags["weights_digest"]
    assert again.params == recorded.params
    for tag in ("dataset", "model", "optimizer", "schedule", "initializer", "regularizer", "batch_size"):
        assert again.tags[tag] == recorded.tags[tag]


def test_a_repeated_single_run_is_tested_and_a_trial_is_not(recorder: Recorder, single: RunRecord) -> None:
    _, again = recorder.again(single.run_id)
    assert again.metrics["test_accuracy"] == single.metrics["test_accuracy"]
    trial = recorder.record(*DETERMINISTIC, trial="3", kind="trial", sweep="s-1")
    code, again = recorder.again(trial.run_id)
    assert code == 0
    assert "test_accuracy" not in again.metrics
    assert (again.tags["kind"], again.name) == ("run", f"again {trial.run_id[:8]}")


def test_a_pruned_trial_ends_after_the_same_epoch(recorder: Recorder) -> None:
    pruned = recorder.record(*DETERMINISTIC, end_after=2, trial="4", kind="trial", sweep="s-1")
    code, again = recorder.again(pruned.run_id)
    assert code == 0
    assert again.tags["rerun_verdict"] == "equal: 2 epochs, all metrics and weights bitwise"
    assert (again.tags["state"], again.metrics["trained_epochs"]) == ("pruned", 2)


def test_overrides_make_a_variation(recorder: Recorder, single: RunRecord) -> None:
    """Changes of the code are named, too: they may make the difference."""
    version = single.tags["kerasweep"]
    changed = f"kerasweep is another version (0.0.1 / {version})"
    recorder.tracker.set_tags(single.run_id, {"kerasweep": "0.0.1"})
    changes = (
        "training.epochs=1",
        "optimizer=adam",
        "training.batch_size=32",
        "model=strided",
        "augment=none",
    )
    code, again = recorder.again(single.run_id, *changes)
    recorder.tracker.set_tags(single.run_id, {"kerasweep": version})
    assert code == 0
    said = again.tags["rerun_verdict"]
    assert re.match(r"a variation \(.*training\.epochs=1.*\): val_accuracy 0\.", said)
    for key in (
        "optimizer.name=adam",
        "training.batch_size=32",
        "model.downsampling=stride",
        "model.filters=",
    ):
        assert key in said
    assert "augment" not in said and "training.seed" not in said
    assert said.endswith(f", {single.metrics['objective']:.4g} in the recorded run; {changed}")
    tags = ("optimizer", "batch_size", "model", "schedule", "dataset", "kernel_size")
    assert [again.tags[tag] for tag in tags] == ["adam", "32", "strided", "cosine", "digits", "3"]


def test_a_key_that_only_the_recorded_option_has_can_vary(recorder: Recorder, single: RunRecord) -> None:
    with composing():
        again = compose_again(
            config_of(recorder, single), ["optimizer.momentum=0.5", "schedule.alpha=0.1"], {}
        )
    assert (again.cfg.optimizer.momentum, again.cfg.optimizer.nesterov) == (0.5, False)
    assert again.variation == {"optimizer.momentum": "0.5", "schedule.alpha": "0.1"}


def test_another_objective_is_not_compared_with_the_recorded_one(
    recorder: Recorder, single: RunRecord
) -> None:
    change = "objective=[{metric: val_loss, direction: minimize}]"
    _, again = recorder.again(single.run_id, change)
    assert re.fullmatch(
        r"a variation \(objective=val_loss minimize\): val_loss [\d.]+", again.tags["rerun_verdict"]
    )


def test_tags_that_kerasweep_sets_are_refused(recorder: Recorder, single: RunRecord) -> None:
    recorder.tracking.tags["git.dirty"] = "foo"
    try:
        with pytest.raises(ConfigError, match="tracking.tags.git.dirty would replace the tag git.dirty"):
            recorder.again(single.run_id)
    finally:
        del recorder.tracking.tags["git.dirty"]


@pytest.mark.parametrize("argument", ["-m", "--multi", "hydra.mode=MULTIRUN"])
def test_a_sweep_of_reruns_is_refused(
    argument: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rerun.py", "run_id=12345678", argument])
    with pytest.raises(SystemExit) as raised:
        run_command_line()
    assert raised.value.code == 2
    assert (
        capsys.readouterr().err == "error: src.rerun trains one configuration. Leave -m and hydra.mode out.\n"
    )


@pytest.mark.parametrize("run_id", ["", ["a"], None])
def test_a_run_id_that_is_no_text(recorder: Recorder, run_id: object) -> None:
    cfg = OmegaConf.create({"run_id": run_id, "code": "here"})
    with pytest.raises(ConfigError, match="^run_id needs the id of a recorded run: "):
        rerun(cfg, recorder.folder, [], [])


def test_an_override_that_changes_nothing_is_no_variation(recorder: Recorder, single: RunRecord) -> None:
    code, again = recorder.again(single.run_id, "training.epochs=3", "data.path=null")
    assert code == 0
    assert again.tags["rerun_verdict"] == "equal: 3 epochs, all metrics and weights bitwise"


def test_a_difference_is_said_with_its_cause(recorder: Recorder, single: RunRecord) -> None:
    """A run of other weights stands for one of another machine, whose tags it has."""
    other = recorder.record(*DETERMINISTIC, "optimizer=sgd", "schedule=cosine")
    recorder.tracker.log_text(other.run_id, config_of(recorder, single), "config.yaml")
    pins = "tensorflow==2.20.0 keras==1.0 numpy==2.4.6"
    recorder.tracker.set_tags(other.run_id, {"instructions": "avx", "packages": pins, "kerasweep": "0.0.1"})
    with redirect_stdout(io.StringIO()) as stdout:
        code, again = recorder.again(other.run_id)
    assert code == DIFFERS
    said = again.tags["rerun_verdict"]
    assert said.startswith("differs from epoch 1 on (")
    assert "; keras is another version (1.0 / " in said
    assert "the processor is another (none / " in said
    assert "pip install tensorflow==2.20.0 keras==1.0 " in stdout.getvalue()
    assert " kerasweep==0.0.1\n" in stdout.getvalue()


def test_a_repetition_that_diverges_differs(recorder: Recorder) -> None:
    recorded = recorder.record(*DETERMINISTIC, "optimizer=sgd")
    wild = config_of(recorder, recorded).replace("learning_rate: 0.01", "learning_rate: 1e30")
    recorder.tracker.log_text(recorded.run_id, wild, "config.yaml")
    code, again = recorder.again(recorded.run_id)
    assert (code, again.tags["state"]) == (DIFFERS, "failed")
    assert re.match(
        r"differs after epoch \d: (val_)?loss became (nan|inf) in epoch \d: ", again.tags["rerun_verdict"]
    )


def config_of(recorder: Recorder, record: RunRecord) -> str:
    from kerasweep.tracking.recorded_run import read_text

    return read_text(recorder.tracking, record.run_id, "config.yaml")


def test_changed_data_are_refused_and_moved_ones_found(recorder: Recorder, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(60) % 3
    archive, moved = tmp_path / "images.npz", tmp_path / "moved.npz"
    np.savez(archive, x=images, y=labels)
    recorded = recorder.record(
        *DETERMINISTIC, "data=npz", f"data.path={archive}", f"data.cache_dir={tmp_path / 'cache'}"
    )
    shutil.move(archive, moved)
    with pytest.raises(KerasweepError, match="images.npz"):
        recorder.again(recorded.run_id)
    assert recorder.again(recorded.run_id, f"data.path={moved}")[0] == 0
    np.savez(archive, x=255 - images, y=labels)
    for changes in ((), ("data.scaling=z_score",)):
        with pytest.raises(
            KerasweepError, match="the images changed. Restore them, or name an unchanged copy"
        ):
            recorder.again(recorded.run_id, *changes)
    assert len(find_runs(recorder.tracking, {"rerun_of": recorded.run_id})) == 1


def test_a_trial_of_several_seeds_in_another_experiment(recorder: Recorder) -> None:
    other = open_tracker(TrackingConf(uri=recorder.tracking.uri, experiment="other"))
    trial = ended(other, State.COMPLETE)
    other.start("seed", {"kind": "repeat"}, {}, parent=trial)
    with pytest.raises(KerasweepError, match="is a trial of several seeds"):
        recorder.again(trial)


def ended(tracker: Tracker, state: str, **tags: str) -> str:
    run_id = tracker.start("x", {"kind": "trial", **tags}, {})
    tracker.finish(run_id, state, "a loss is NaN" if state == State.FAILED else None)
    return run_id


def test_runs_that_cannot_be_repeated(recorder: Recorder, single: RunRecord) -> None:
    tracker = recorder.tracker
    running = tracker.start("x", {"kind": "trial"}, {})
    sweep = tracker.start("s-1", {"kind": "study", "sweep": "s-1"}, {})
    trial, deleted = ended(tracker, State.COMPLETE), ended(tracker, State.COMPLETE)
    tracker.client.delete_run(deleted)
    seed = tracker.start("seed", {"kind": "repeat"}, {}, parent=trial)
    refusals = {
        running: "is not finished yet.",
        sweep: "is that of the sweep s-1, which trains through its trials. Name one of these",
        trial: rf"is a trial of several seeds. Name the run of one seed: {seed[:8]}\.",
        ended(tracker, State.FAILED): r"is failed \(a loss is NaN\), so it cannot be trained again.",
        ended(tracker, State.CANCELLED): "is cancelled, so it cannot be trained again.",
        ended(
            tracker, State.COMPLETE
        ): "has no artifact config.yaml, without which it cannot be trained again",
        deleted[:8]: f"The run {deleted} was deleted. Restore it with: ",
        "0123456789": "No run 0123456789 in the experiment",
        "x": "No run x in the experiment",
    }
    before = len(find_runs(recorder.tracking, {}))
    for run_id, said in refusals.items():
        with pytest.raises(KerasweepError, match=said):
            recorder.again(run_id)
    assert len(find_runs(recorder.tracking, {})) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("study.trials=3", "^study.trials is no key of a training. src.rerun takes keys of data, augment, "),
        ("storage.url=postgresql://me:secret@h/d", "^storage.url is no key of a training[^@]*$"),
        ("debug=fast", "^debug is no key of a training"),
        ("training.epochs=3,4", "src.rerun trains one configuration. Give one value."),
        (
            "optimizer.momentum=x",
            "^optimizer.momentum=x does not fit the recorded run: Value 'x' of type 'str' could not be ",
        ),
        (
            "optimizer.beta_1=0.5",
            "^optimizer.beta_1=0.5 does not fit the recorded run: Key 'beta_1' not in 'SGDConf'",
        ),
        (
            "optimizer=sgdd",
            "^optimizer=sgdd does not fit the recorded run: .*Could not find 'optimizer/sgdd'",
        ),
        ("training.epochs=0", "training.epochs"),
    ],
)
def test_overrides_that_do_not_fit(recorder: Recorder, single: RunRecord, change: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recorder.again(single.run_id, change)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda text: text.replace("  momentum:", "  speed:"),
            "does not fit this version of kerasweep: Key 'speed'",
        ),
        (lambda text: "[", "does not fit this version of kerasweep"),
        (lambda text: "a: 1", "does not fit this version of kerasweep: it has no group data"),
        (lambda text: "- 1", "does not fit this version of kerasweep"),
        (lambda text: re.sub("name: sgd", "name: sgdd", text), "optimizer.name=sgdd is unknown"),
        (
            lambda text: text.replace("kerasweep.trial.run:run_trial", "mine:train"),
            "The run was trained by trial.target=mine:train, which this command does not call",
        ),
    ],
)
def test_a_configuration_of_another_version(
    recorder: Recorder, single: RunRecord, edit: Callable[[str], str], said: str
) -> None:
    with composing(), pytest.raises(ConfigError, match=said):
        compose_again(edit(config_of(recorder, single)), [], {})


def test_keys_that_an_older_version_lacked_get_their_default(recorder: Recorder, single: RunRecord) -> None:
    older = config_of(recorder, single).replace("  nesterov: false\n", "")
    with composing():
        again = compose_again(older, [], {})
    assert (again.cfg.optimizer.nesterov, again.cfg.optimizer.momentum, again.variation) == (False, 0.9, {})


NETWORK = """
import keras


def small(shape, classes):
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes, activation="softmax")]
    return keras.Sequential(layers)
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=me", "-c", "user.email=me@localhost")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def last_run(folder: Path) -> RunRecord:
    return find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": "run"})[0]


def test_the_recorded_code_trains_again(tmp_path: Path, copy_database: Callable[[Path], Path]) -> None:
    """The project lies in a subfolder of its repository, and has changes that were not committed."""
    project = tmp_path / "project"
    copy_database(project)
    (project / ".gitignore").write_text("mlruns\n")
    (project / "nets.py").write_text(NETWORK)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "project")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    (project / "nets.py").write_text(NETWORK.replace("Dense(", "Dense(use_bias=False, units="))
    overrides = ("debug=fast", "training.deterministic=true", "model=custom", "model.target=nets:small")
    done = run(project, "train", *overrides)
    assert done.code == 0, done
    recorded = last_run(project)
    (project / "nets.py").write_text(NETWORK)
    changed = run(project, "rerun", f"run_id={recorded.run_id}")
    assert changed.code == DIFFERS, changed
    *_, said = changed.stdout.splitlines()
    assert said.startswith("differs from epoch 1 on (")
    assert f"the code is another (commit {recorded.tags['mlflow.source.git.commit'][:8]} with other" in said
    assert "; your code is another (nets:small=" in said
    (project / "nets.py").unlink()
    again = run(project, "rerun", f"run_id={recorded.run_id}", "++code=recorded")
    assert again.code == 0, again
    assert again.stdout.splitlines()[-1] == "equal: 1 epoch, all metrics and weights bitwise"
    for tag in ("mlflow.source.git.commit", "git.dirty", "git.diff", "targets", "kerasweep"):
        assert last_run(project).tags[tag] == recorded.tags[tag]
    stopped = start(project, "rerun", f"run_id={recorded.run_id}", "code=recorded", "training.epochs=100000")
    while "val_loss" not in last_run(project).metrics or "rerun_verdict" in last_run(project).tags:
        assert stopped.poll() is None, stopped.communicate()
        time.sleep(0.1)
    stopped.send_signal(signal.SIGTERM)
    stopped.communicate(timeout=60)
    assert (stopped.returncode, last_run(project).status) == (128 + signal.SIGTERM, "KILLED")
    assert len(git(tmp_path, "worktree", "list").splitlines()) == 1
    shutil.rmtree(tmp_path / ".git")
    git(tmp_path, "init", "--quiet")
    gone = run(project, "rerun", f"run_id={recorded.run_id}", "code=recorded")
    assert gone.code == 2
    assert gone.stderr.startswith("error: The recorded code cannot be checked out: git says ")
    assert gone.stderr.endswith("then the code that is here trains the run.\n")

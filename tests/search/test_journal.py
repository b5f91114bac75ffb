"""A journal survives an incomplete last line, and its lock the death of its owner."""

import json
import multiprocessing
import random
from pathlib import Path

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from kerasweep.errors import ConfigError
from kerasweep.search.journal import LINE, JournalFolder, open_study


def test_a_folder_names_its_studies(tmp_path: Path) -> None:
    assert JournalFolder(tmp_path / "none").names() == []
    folder = JournalFolder(tmp_path)
    folder.open("s[1].x", ["maximize"])
    folder.open("t", ["minimize"])
    assert sorted(folder.names()) == ["s[1].x", "t"]
    assert folder.file("t") == tmp_path / "t.journal" and folder.spool("t").parent == folder.folder


def test_reopened_study_holds_its_trials(tmp_path: Path) -> None:
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    study.tell(study.ask(), 0.5)
    assert [trial.value for trial in open_study(tmp_path / "s.journal", "s", ["maximize"]).trials] == [0.5]


def test_torn_last_line_is_cut_and_kept(tmp_path: Path) -> None:
    journal = tmp_path / "s.journal"
    study = open_study(journal, "s", ["maximize"])
    study.tell(study.ask(), 0.5)
    whole = journal.read_bytes()
    for torn in (b'{"op_code": 4, "wor', b'{"op'):
        journal.write_bytes(whole + torn)
        assert [trial.value for trial in open_study(journal, "s", ["maximize"]).trials] == [0.5]
        assert journal.read_bytes().startswith(whole + b'{"op_code":')
    assert (tmp_path / "s.torn").read_bytes() == b'{"op_code": 4, "wor\n{"op\n'
    study = open_study(journal, "s", ["maximize"])
    study.tell(study.ask(), 0.75)
    assert [trial.value for trial in study.trials] == [0.5, 0.75]


def test_line_that_another_driver_tore_is_cut_before_the_next_one(tmp_path: Path) -> None:
    journal = tmp_path / "s.journal"
    study = open_study(journal, "s", ["maximize"])
    trial = study.ask()
    with open(journal, "ab") as file:
        file.write(b'{"op_code": 6, "tri')
    trial.report(0.25, 1)
    study.tell(trial, 0.5)
    (again,) = open_study(journal, "s", ["maximize"]).trials
    assert (again.value, again.intermediate_values) == (0.5, {1: 0.25})
    assert (tmp_path / "s.torn").read_bytes() == b'{"op_code": 6, "tri\n'


def test_complete_journal_stays_unchanged(tmp_path: Path) -> None:
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    before = (tmp_path / "s.journal").read_bytes()
    study.ask()
    assert (tmp_path / "s.journal").read_bytes().startswith(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.journal"]


def test_journal_of_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    (tmp_path / "s.journal").write_bytes(b'{"op')
    assert open_study(tmp_path / "s.journal", "s", ["maximize"]).trials == []


def test_a_line_that_is_missing_is_noticed(tmp_path: Path) -> None:
    """Optuna would give the trials after it other numbers."""
    journal = tmp_path / "s.journal"
    study = open_study(journal, "s", ["maximize"])
    for value in (0.5, 0.75):
        trial = study.ask()
        trial.suggest_int("a", 0, 9)
        study.tell(trial, value)
    whole = journal.read_bytes().splitlines(keepends=True)
    for missing in range(1, len(whole) - 1):
        journal.write_bytes(b"".join(whole[:missing] + whole[missing + 1 :]))
        with pytest.raises(
            ConfigError, match=f"line {missing + 1} is out of place: lines before it are missing"
        ):
            open_study(journal, "s", ["maximize"])
    journal.write_bytes(b"".join(whole))
    assert [trial.value for trial in open_study(journal, "s", ["maximize"]).trials] == [0.5, 0.75]


@pytest.mark.parametrize(
    "line",
    [
        "3",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"op_code": 99}',
        '{"op_code": "x"}',
        '{"op_code": 4, "worker_id": "w"}',
        '{"op_code": 5, "worker_id": "w", "trial_id": "x", "param_name": 3}',
        '{"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 77, "values": "no"}',
        "{",
        "\x00\x01",
    ],
)
def test_whatever_a_line_holds_the_journal_is_named(tmp_path: Path, line: str) -> None:
    journal = tmp_path / "s.journal"
    study = open_study(journal, "s", ["maximize"])
    study.tell(study.ask(), 0.5)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    with pytest.raises(
        ConfigError, match=f"The journal {journal} is damaged: .* Restore it, or move it away"
    ):
        open_study(journal, "s", ["maximize"])


def test_lines_of_an_older_version_have_no_numbers(tmp_path: Path) -> None:
    journal = tmp_path / "s.journal"
    study = open_study(journal, "s", ["maximize"])
    study.tell(study.ask(), 0.5)
    logs = [json.loads(line) for line in journal.read_text().splitlines()]
    older = [{key: value for key, value in log.items() if key != LINE} for log in logs]
    journal.write_text("".join(json.dumps(log) + "\n" for log in older))
    study = open_study(journal, "s", ["maximize"])
    study.tell(study.ask(), 0.75)
    assert [trial.value for trial in open_study(journal, "s", ["maximize"]).trials] == [0.5, 0.75]
    assert LINE in json.loads(journal.read_text().splitlines()[-1])


def test_two_drivers_number_their_lines_together(tmp_path: Path) -> None:
    one, other = (open_study(tmp_path / "s.journal", "s", ["maximize"]) for _ in range(2))
    for study in (one, other, one, other):
        study.tell(study.ask(), 0.5)
    numbers = [json.loads(line)[LINE] for line in (tmp_path / "s.journal").read_text().splitlines()]
    assert numbers == list(range(len(numbers))) and len(one.trials) == 4


def test_other_directions_are_refused(tmp_path: Path) -> None:
    open_study(tmp_path / "s.journal", "s", ["maximize"])
    with pytest.raises(ConfigError) as refused:
        open_study(tmp_path / "s.journal", "s", ["maximize", "minimize"])
    assert str(refused.value) == (
        "The study s was begun with the directions ['maximize'], "
        "but ['maximize', 'minimize'] were asked for. Begin anew with study.fresh=true."
    )


def _hold(folder: Path, held: "multiprocessing.queues.SimpleQueue[str]") -> None:
    with JournalFolder(folder).lock("s"):
        held.put("locked")
        multiprocessing.Event().wait(60)


def test_lock_is_freed_when_its_owner_dies(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.SimpleQueue()
    owner = context.Process(target=_hold, args=(tmp_path / "new", held))
    owner.start()
    assert held.get() == "locked"
    owner.kill()
    owner.join()
    with JournalFolder(tmp_path / "new").lock("s"):
        assert (tmp_path / "new" / "s.lock").exists()


@pytest.mark.parametrize("seed", range(3))
def test_trials_are_listed_as_optuna_lists_them(seed: int, tmp_path: Path) -> None:
    """Two drivers begin and end trials in any order."""
    luck, journal = random.Random(seed), tmp_path / "s.journal"
    studies = [open_study(journal, "s", ["maximize"]) for _ in range(2)]
    plain = JournalStorage(JournalFileBackend(str(journal)))
    filters = (None, (TrialState.WAITING,), (TrialState.RUNNING, TrialState.WAITING), (TrialState.COMPLETE,))
    running = []
    for value in range(15):
        study = luck.choice(studies)
        if luck.random() < 0.5:
            study.enqueue_trial({"a": value / 15})
        running.append(study.ask())
        running[-1].suggest_float("a", 0, 1)
        if luck.random() < 0.6:
            ended = running.pop(luck.randrange(len(running)))
            luck.choice(studies).tell(ended.number, luck.random())
        for states in filters:
            for one in studies:
                listed = one.get_trials(deepcopy=luck.random() < 0.5, states=states)
                assert listed == plain.get_all_trials(one._study_id, states=states)


def test_a_list_of_trials_stays_as_it_is(tmp_path: Path) -> None:
    """Also the one that is not copied: a caller may keep it while trials end."""
    study = open_study(tmp_path / "s.journal", "s", ["maximize"])
    trial = study.ask()
    listed = study.get_trials(deepcopy=False)
    study.tell(trial, 0.5)
    study.ask()
    assert [each.state for each in listed] == [TrialState.RUNNING]
    assert study.get_trials()[0] is not study.get_trials(deepcopy=False)[0]

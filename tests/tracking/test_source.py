"""Tags of a run name the code that it ran."""

import importlib.metadata
import os
import re
import subprocess
from pathlib import Path

import pytest

from kerasweep.tracking import source
from kerasweep.tracking.source import diff_digest, read_code

ROOT = Path(__file__).resolve().parents[2]


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    done = subprocess.run(["git", *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def repository(folder: Path) -> Path:
    """Makes a repository with one commit."""
    git("init", "--quiet")
    (folder / "train.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    return folder


def test_clean_repository_gives_its_commit(repository: Path) -> None:
    code = read_code()
    assert code.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert (code.tags["git.dirty"], code.tags["git.diff"], code.diff) == ("false", "none", "")


def test_dirty_repository_gives_its_diff(repository: Path) -> None:
    (repository / "train.py").write_text("a = 2\n")
    code = read_code()
    assert code.tags["git.dirty"] == "true"
    assert "\n-a = 1\n+a = 2\n" in code.diff
    assert code.tags["git.diff"] == diff_digest(code.diff)


def test_long_diff_is_cut(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_DIFF_CHARACTERS", 10)
    (repository / "train.py").write_text("a = 2\n")
    code = read_code()
    assert code.diff == "diff --git"
    assert code.tags["git.diff"] != diff_digest(code.diff)


def test_new_file_makes_the_tree_dirty(repository: Path) -> None:
    (repository / "other.py").write_text("")
    code = read_code()
    assert (code.tags["git.dirty"], code.tags["git.diff"]) == ("true", "none")


def test_without_a_repository_there_is_only_kerasweeps_version(folder: Path) -> None:
    code = read_code()
    assert set(code.tags) == {"kerasweep"}
    assert code.diff == ""


def test_repository_without_a_commit_counts_as_none(folder: Path) -> None:
    git("init", "--quiet")
    assert set(read_code().tags) == {"kerasweep"}


def test_a_checkout_of_kerasweep_is_named_by_its_commit(folder: Path, repository: Path) -> None:
    """Its commit is not that of the user's repository."""
    version = importlib.metadata.version("kerasweep")
    commit = git("-C", str(ROOT), "rev-parse", "HEAD")
    of_checkout = rf"{re.escape(version)}\+{commit[:8]}(\.[0-9a-f]{{12}})?"
    assert re.fullmatch(of_checkout, read_code().tags["kerasweep"])
    os.chdir(ROOT)
    assert read_code().tags["kerasweep"] == version


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"a\r\nb\r\n", b"a\r\nc\r\n"), (b"\x00\x01", b"\x00\x02"), ("ä\n".encode(), "ö\n".encode())],
    ids=["CRLF", "binary", "UTF-8"],
)
def test_a_diff_can_be_applied_whatever_the_user_configured(
    repository: Path, before: bytes, after: bytes
) -> None:
    file = repository / "sub" / "file"
    file.parent.mkdir()
    file.write_bytes(before)
    git("add", ".")
    git("commit", "--quiet", "--message", "second")
    git("config", "diff.noprefix", "true")
    git("config", "diff.relative", "true")
    file.write_bytes(after)
    os.chdir(file.parent)
    code = read_code()
    git("checkout", "--quiet", ".")
    os.chdir(repository)
    assert code.tags["git.diff"] == diff_digest(code.diff)
    subprocess.run(["git", "apply", "-"], input=code.diff.encode(), check=True)
    assert file.read_bytes() == after


def test_a_diff_in_another_encoding_is_known_to_be_lost(repository: Path) -> None:
    (repository / "train.py").write_bytes("a = 'ä'\n".encode("latin-1"))
    code = read_code()
    assert code.tags["git.diff"] != diff_digest(code.diff)


def test_without_git_there_are_no_git_tags(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "git.dirty" not in read_code().tags

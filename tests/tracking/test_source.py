"""Tags of a run name the code that it ran."""

import subprocess
import sys
from pathlib import Path

import pytest

from kerasweep.tracking import source
from kerasweep.tracking.source import git_diff, source_tags


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
    tags = source_tags()
    assert tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert tags["git.dirty"] == "false"
    assert git_diff() is None


def test_dirty_repository_gives_its_diff(repository: Path) -> None:
    (repository / "train.py").write_text("a = 2\n")
    assert source_tags()["git.dirty"] == "true"
    assert "\n-a = 1\n+a = 2\n" in (git_diff() or "")


def test_long_diff_is_cut(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_DIFF_CHARACTERS", 10)
    (repository / "train.py").write_text("a = 2\n")
    assert git_diff() == "diff --git"


def test_new_file_makes_the_tree_dirty(repository: Path) -> None:
    (repository / "other.py").write_text("")
    assert source_tags()["git.dirty"] == "true"


def test_without_a_repository_there_is_only_the_program_and_user(folder: Path) -> None:
    tags = source_tags()
    assert set(tags) == {"mlflow.source.name", "mlflow.source.type", "mlflow.user"}
    assert tags["mlflow.source.name"] == sys.argv[0]
    assert git_diff() is None


def test_repository_without_a_commit_counts_as_none(folder: Path) -> None:
    git("init", "--quiet")
    assert "git.dirty" not in source_tags()
    assert git_diff() is None


def test_without_git_there_are_no_git_tags(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "git.dirty" not in source_tags()

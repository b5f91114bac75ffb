"""What to type next is said in the words that the process was started with."""

import sys

import pytest

from src.terminal import next_commands

URI = "sqlite:////data/mlruns/mlflow.db"


@pytest.mark.parametrize(
    ("program", "is_default", "said"),
    [
        (
            "/clone/src/train.py",
            True,
            [
                "browse:  make ui",
                "compare: python -m src.compare study=s-1",
                "predict: python -m src.predict run_id=r images=[IMAGE.png]",
            ],
        ),
        (
            "/environment/bin/kerasweep-train",
            True,
            [
                f"browse:  mlflow ui --backend-store-uri {URI}",
                "compare: kerasweep-compare study=s-1",
                "predict: kerasweep-predict run_id=r images=[IMAGE.png]",
            ],
        ),
        (
            "/clone/src/train.py",
            False,
            [
                f"browse:  mlflow ui --backend-store-uri {URI}",
                f"compare: python -m src.compare study=s-1 tracking.uri='{URI}'",
                f"predict: python -m src.predict run_id=r images=[IMAGE.png] tracking.uri='{URI}'",
            ],
        ),
    ],
)
def test_next_commands(
    program: str, is_default: bool, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    assert next_commands(URI, is_default, "s-1", "r") == said
    assert next_commands(URI, is_default, None, "r") == [said[0], said[2]]

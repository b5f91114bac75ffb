"""A sweep in a notebook shows its progress, stops by the interrupt, and leaves no process behind."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from tests.processes import environment

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "sweep.ipynb"
SLEEPING = """
import kerasweep
rates = "optimizer.learning_rate=0.001,0.01,0.1,0.2"
sweep = kerasweep.sweep(overrides=[rates, "trial.target=benchmarks.targets:sleeping", "workers=2"])
"""
LEFT = """
import psutil
commands = [str(each.cmdline()) for each in psutil.Process().children(recursive=True)]
print([each for each in commands if "resource_tracker" not in each])
"""
# Zeromq and the kernel of Jupyter speak TCP to each other on this machine.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def test_the_notebook_of_the_docs_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = {cell.source.splitlines()[0]: cell.outputs for cell in cells}
    printed = "".join(each.get("text", "") for each in outputs["sweep = kerasweep.sweep("])
    assert "finished: all 4 trials are done" in printed and "TqdmWarning" not in printed
    (shown,) = outputs["comparison = kerasweep.compare(sweep.name)"]
    assert "iframe srcdoc=" in shown.data["text/html"] and "data:image/svg+xml" in shown.data["text/html"]
    (trials,) = outputs["sweep.trials"]
    assert trials.data["text/html"].count("<tr>") == 4


@contextmanager
def kernel(folder: Path) -> "Iterator[tuple[KernelManager, Any]]":
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def until(client: Any, words: str) -> dict[str, Any]:
    """Reads the outputs of the running cell until one holds these words, and returns that one."""
    while words not in str(message := client.get_iopub_msg(timeout=120)):
        pass
    return dict(message)


def end_of(client: Any, sent: str) -> dict[str, Any]:
    """Returns the reply to a cell."""
    while True:
        reply = client.get_shell_msg(timeout=120)
        if reply["parent_header"].get("msg_id") == sent:
            return dict(reply["content"])


def test_the_interrupt_stops_the_sweep_and_the_kernel_goes_on(tmp_path: Path) -> None:
    with kernel(tmp_path) as (manager, client):
        sent = client.execute(SLEEPING, stop_on_error=False)  # else the kernel may abort the next cell, too
        until(client, "update_display_data")  # the live part is drawn again
        manager.interrupt_kernel()
        assert end_of(client, sent)["ename"] == "KeyboardInterrupt"
        until(client, "KeyboardInterrupt")
        client.execute(LEFT)
        assert until(client, "'stdout'")["content"]["text"] == "[]\n"


def test_a_killed_kernel_leaves_no_process(tmp_path: Path) -> None:
    with kernel(tmp_path) as (manager, client):
        client.execute(SLEEPING)
        until(client, "running, ")
        process = psutil.Process(manager.provisioner.pid)
        time.sleep(1)  # the second worker starts, too
        workers = process.children(recursive=True)
        assert len(workers) > 2
        process.send_signal(signal.SIGKILL)
        assert psutil.wait_procs(workers, timeout=15)[1] == []

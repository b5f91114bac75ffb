"""A batch whose launcher failed keeps what its jobs left behind."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from kerasweep.multirun.batches import BatchJob, BatchPool, begun_file, result_file
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.ledger import as_attribute
from kerasweep.workers.pool import JobLost
from kerasweep.workers.worker import Finished, Job


def job(number: int) -> Job:
    ref = TrialRef(f"run-{number}", number)
    return Job(number, "unused", BatchJob(number, [], ref, lambda epoch, value: False))


def test_lost_jobs_come_again_in_batches_of_their_own(tmp_path: Path) -> None:
    """Else the trial that kills its process would take the same others with it, three times."""
    unused: Any = None
    pool = BatchPool(unused, OmegaConf.create(), unused, unused, "unused", size=3)
    jobs = [job(number) for number in range(3)]
    outcome = Outcome("complete", "run-0", (0.5,))
    result_file(tmp_path, jobs[0].payload).write_text(json.dumps(as_attribute(outcome)))
    begun_file(tmp_path, jobs[1].payload).touch()
    events = dict(pool._left(list(enumerate(jobs)), tmp_path, RuntimeError("a job died\nat noon")))
    assert events[0] == Finished(0, outcome)
    reason = "its batch ended without its result: RuntimeError: a job died"
    assert [events[place] for place in (1, 2)] == [JobLost(1, 1, reason), JobLost(2, 2, reason)]
    for _ in range(2):
        assert pool.free() == [0]
        pool.submit(0, job(3))
        assert pool.free() == []
        pool._single_batches, pool._jobs[0] = pool._single_batches - 1, None  # the batch was launched
    assert pool.free() == [0, 1, 2]


def test_a_full_disk_costs_no_job_of_a_batch(tmp_path: Path) -> None:
    """Such as that of Hydra's own files: three such batches would fail their trials for good."""
    unused: Any = None
    pool = BatchPool(unused, OmegaConf.create(), unused, unused, "unused", size=1)
    begun_file(tmp_path, job(0).payload).touch()
    with pytest.raises(OSError, match="No space left on device"):
        pool._left([(0, job(0))], tmp_path, OSError(errno.ENOSPC, "No space left on device"))

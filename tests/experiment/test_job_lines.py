"""What `torchcross status` says of a job on which processes are at work, or nobody is."""

import pytest

from torchcross.experiment.run.job_lines import job_lines
from torchcross.jobs import JobStatus
from torchcross.jobs.claim_files import ClaimRecord
from torchcross.jobs.processes import ProcessIdentity

AGAIN = "nothing runs now; give the same `torchcross run` again to go on"


def status(*, ready=(), running=(), processes=()):
    return JobStatus((), running, (), (), ready, (), processes)


def claim(key):
    return ClaimRecord(key, 0, 1, ProcessIdentity("node7", 4711), b"")


def lines(job):
    return list(job_lines(job, "torchcross run"))


@pytest.mark.parametrize(
    ("ready", "words"), [(("score-a",), "no unit runs now"), ((), "no unit is known yet")]
)
def test_a_job_whose_units_wait_in_a_queue_is_at_work(ready, words):
    """Or a second call that still checks what there is."""
    said = lines(status(ready=ready, processes=(claim("p"), claim("q"))))
    assert said[-3:] == [
        f"{words}; at work: 2",
        "  torchcross run (process 4711 on node7)",
        "  torchcross run (process 4711 on node7)",
    ]
    assert AGAIN not in said


def test_a_job_that_nobody_makes_says_how_to_go_on():
    assert lines(status(ready=("score-a",)))[-1] == AGAIN
    assert lines(status()) == []


def test_units_that_run_are_enough():
    said = lines(status(ready=("score-a",), running=(claim("score-b"),), processes=(claim("p"),)))
    assert not any("at work" in line for line in said)

"""All units of a job are made, once each, by any number of processes, whatever dies."""

import multiprocessing
import os
import random
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.jobs.sums import Sums, expected, results, run_in_another_process, runs_of
from torchcross.errors import InputError
from torchcross.jobs import (
    ExecutorEngine,
    InlineEngine,
    JobFolder,
    LocalEngine,
    Outcome,
    Unit,
    job_status,
    run_job,
)
from torchcross.jobs.work import make_unit

EVERY_UNIT = sorted([*(f"square{at}" for at in range(6)), "sum0", "sum1"])


def threads(slots=2):
    return ExecutorEngine(ThreadPoolExecutor(slots), slots=slots)


@pytest.mark.parametrize("slots", [0, 1, 2, 5])
def test_every_unit_is_made_once_and_heard_of(tmp_path, slots):
    engine = threads(slots) if slots else InlineEngine()
    heard = []
    job = Sums(str(tmp_path))
    result = run_job(job, tmp_path, engine, notice=lambda *each: heard.append(each))
    assert (result.units, result.done, result.is_complete) == (8, 8, True)
    assert results(tmp_path) == expected()
    assert runs_of(tmp_path) == EVERY_UNIT
    assert [(key, report.outcome) for key, report in sorted(heard)] == [
        (key, Outcome.DONE) for key in EVERY_UNIT
    ]
    assert all(not list(path.iterdir()) for path in (tmp_path / "jobs").iterdir() if path.is_dir())


def test_what_is_done_is_not_made_again(tmp_path):
    run_job(Sums(str(tmp_path)), tmp_path, threads())
    (tmp_path / "sums" / "1.json").unlink()
    run_job(Sums(str(tmp_path)), tmp_path, threads())
    assert runs_of(tmp_path) == sorted([*EVERY_UNIT, "sum1"])
    assert results(tmp_path) == expected()


def test_a_failure_is_told_and_stops_only_what_needs_it(tmp_path):
    result = run_job(Sums(str(tmp_path), failing=("square4",)), tmp_path, threads())
    (failure,) = result.failures
    assert failure.key == "square4"
    assert failure.reason.startswith("ValueError: square4 cannot be made (in run, sums.py:")
    assert (result.done, result.waiting) == (6, ("sum1",))
    status = job_status(tmp_path)
    assert [each.key for each in status.failures] == ["square4"]
    assert status.waiting == ("sum1",)
    assert run_job(Sums(str(tmp_path)), tmp_path, threads()).is_complete
    assert results(tmp_path) == expected()
    assert job_status(tmp_path).failures == ()


def test_a_job_of_other_parts_is_refused(tmp_path):
    run_job(Sums(str(tmp_path)), tmp_path, threads())
    with pytest.raises(InputError, match="version is '2' here and '1' there"):
        run_job(Sums(str(tmp_path), version="2"), tmp_path, threads())


def test_the_status_counts_every_unit(tmp_path):
    job = Sums(str(tmp_path), failing=("square1",))
    assert job_status(tmp_path).units == 0
    run_job(job, tmp_path, threads())
    status = job_status(tmp_path)
    assert (len(status.done), len(status.failures), len(status.waiting)) == (6, 1, 1)
    assert status.units == 8
    run_job(Sums(str(tmp_path)), tmp_path, threads())
    assert job_status(tmp_path).done == tuple(unit.key for unit in job.units())


@pytest.mark.slow
def test_processes_and_a_unit_that_kills_them(tmp_path):
    """The unit has failed when three workers died of it; the others are made."""
    job = Sums(str(tmp_path), deadly=("square1",))
    result = run_job(job, tmp_path, LocalEngine(jobs=2), lease=0.6)
    assert [each.key for each in result.failures] == ["square1"]
    assert "3 workers ended while they made it" in result.failures[0].reason
    assert result.waiting == ("sum0",)
    assert runs_of(tmp_path).count("square1") == 3


@pytest.mark.slow
def test_two_coordinators_share_the_work(tmp_path):
    other = multiprocessing.get_context("spawn").Process(
        target=run_in_another_process, args=(str(tmp_path), 0.2, 60.0)
    )
    other.start()
    result = run_job(Sums(str(tmp_path), delay=0.2), tmp_path, threads(1))
    other.join(60)
    assert other.exitcode == 0
    assert result.is_complete
    assert runs_of(tmp_path) == EVERY_UNIT
    assert results(tmp_path) == expected()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills processes by POSIX signals")
def test_kills_at_any_moment_end_in_the_same_results(tmp_path):
    moments = random.Random(0)
    for _ in range(4):
        process = multiprocessing.get_context("spawn").Process(
            target=run_in_another_process, args=(str(tmp_path), 0.3, 0.6)
        )
        process.start()
        wait_for(lambda: (tmp_path / "witnesses").is_dir())
        time.sleep(moments.uniform(0.0, 0.5))
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
    assert run_job(Sums(str(tmp_path)), tmp_path, threads(), lease=0.6).is_complete
    assert results(tmp_path) == expected()
    assert all(not list(path.iterdir()) for path in (tmp_path / "jobs").iterdir() if path.is_dir())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by POSIX signals")
def test_a_worker_that_sleeps_past_its_lease_harms_nothing(tmp_path):
    process = multiprocessing.get_context("spawn").Process(
        target=run_in_another_process, args=(str(tmp_path), 1.0, 0.4)
    )
    process.start()
    wait_for(lambda: list((tmp_path / "witnesses").glob("*")))
    (worker,) = {int(path.read_text()) for path in (tmp_path / "witnesses").iterdir()}
    os.kill(worker, signal.SIGSTOP)
    assert run_job(Sums(str(tmp_path)), tmp_path, threads(), lease=0.4).is_complete
    before = results(tmp_path)
    os.kill(worker, signal.SIGCONT)
    process.join(60)
    assert process.exitcode == 0
    assert results(tmp_path) == before == expected()


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_units_are_handed_out_in_the_order_of_the_plan(tmp_path):
    """What becomes free comes before what stands later in the plan."""

    class Interleaved(Sums):
        def units(self):
            squares, sums = super().units()[:6], super().units()[6:]
            return [*squares[:3], sums[0], *squares[3:], sums[1]]

    heard = []
    job = Interleaved(str(tmp_path))
    run_job(job, tmp_path, InlineEngine(), notice=lambda key, outcome: heard.append(key))
    assert heard == [unit.key for unit in job.units()]


def test_ctrl_c_in_this_process_says_its_words_and_keeps_what_is_done(tmp_path):
    class Interrupted(Sums):
        def run(self, key, folder):
            if key == "square4":
                raise KeyboardInterrupt("stopped at square4")
            super().run(key, folder)

    result = run_job(Interrupted(str(tmp_path)), tmp_path, InlineEngine())
    assert (result.stopped, result.message, result.done) == (True, "stopped at square4", 4)
    assert run_job(Sums(str(tmp_path)), tmp_path, InlineEngine()).is_complete
    assert runs_of(tmp_path) == EVERY_UNIT


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills processes by POSIX signals")
@pytest.mark.parametrize("is_restarted", [False, True])
def test_an_owner_that_dies_after_it_published_leaves_nothing(tmp_path, is_restarted):
    job = KilledWhenPublished(str(tmp_path))
    if is_restarted:
        process = multiprocessing.get_context("spawn").Process(target=make_one_unit, args=(job,))
        process.start()
        process.join(60)
        assert list((tmp_path / "jobs" / "claims").iterdir())
    assert run_job(job, tmp_path, LocalEngine(jobs=1, cores=1)).is_complete
    assert [path.name for path in tmp_path.iterdir() if path.name != "jobs"] == ["result"]
    assert all(not list(path.iterdir()) for path in (tmp_path / "jobs").iterdir() if path.is_dir())


class KilledWhenPublished(NamedTuple):
    """A unit whose process is killed when its result has its place."""

    folder: str

    def units(self):
        return [Unit("one", ("result",))]

    def fingerprint(self):
        return {}

    def run(self, key, folder):
        (folder / "result").touch()
        JobFolder.remove_failure = lambda folder, key: os.kill(os.getpid(), signal.SIGKILL)


def make_one_unit(job):
    folder = JobFolder(job.folder)
    folder.open(job.fingerprint())
    make_unit(job, *job.units(), job.folder, 60.0)

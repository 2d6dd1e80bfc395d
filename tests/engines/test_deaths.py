"""A job whose processes die at any moment ends in the same results, and loses no row."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.jobs.sums import Sums, expected, results, run_in_another_process, runs_of
from torchcross.jobs import LocalEngine, run_job

pytestmark = pytest.mark.slow

KILLS = 60
LEASE = 1.5


def start(folder, delay, numbers, jobs, lease=LEASE):
    process = multiprocessing.get_context("spawn").Process(
        target=run_in_another_process, args=(str(folder), delay, lease, numbers, jobs)
    )
    process.start()
    return process


def workers_of(process):
    """The processes that make the units of a coordinator."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    except OSError:
        return []
    return sorted(child for child, line in lines.items() if b"spawn_main" in line)


def test_kills_of_workers_and_of_the_coordinator_at_sixty_moments(tmp_path):
    """Every third kill is the coordinator's; three deaths of one unit fail it for that call."""
    moments, numbers = random.Random(12), 60
    (tmp_path / "witnesses").mkdir()
    coordinator, killed = start(tmp_path, 1.0, numbers, 2), {"worker": 0, "coordinator": 0}
    while sum(killed.values()) < KILLS:
        if not coordinator.is_alive():
            coordinator.join()
            coordinator = start(tmp_path, 1.0, numbers, 2)
        wait_for(lambda at=coordinator: workers_of(at.pid) or not at.is_alive())
        time.sleep(moments.uniform(0.0, 1.0))
        kind, victims = "worker", workers_of(coordinator.pid)
        if sum(killed.values()) % 3 == 2:
            kind, victims = "coordinator", [coordinator.pid] if coordinator.is_alive() else []
        if not victims:
            continue
        os.kill(moments.choice(victims), signal.SIGKILL)
        killed[kind] += 1
        if kind == "coordinator":
            coordinator.join()
        if len(results(tmp_path)) == len(expected(numbers)):
            # All is made: go on with some of it.
            for at in range(0, numbers, 2):
                (tmp_path / f"squares/{at}.json").unlink()
    coordinator.kill()
    coordinator.join()
    assert killed["coordinator"] == KILLS // 3
    last = run_job(
        Sums(str(tmp_path), numbers=numbers), tmp_path, LocalEngine(jobs=2, cores=2), lease=LEASE
    )
    assert last.is_complete, last
    assert results(tmp_path) == expected(numbers)
    assert left_of(tmp_path) == []


@pytest.mark.parametrize("coordinators", [2, 4])
def test_independent_coordinators_make_each_unit_once(tmp_path, coordinators):
    processes = [start(tmp_path, 0.3, 18, 1, lease=60.0) for _ in range(coordinators)]
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * coordinators
    assert results(tmp_path) == expected(18)
    made = runs_of(tmp_path)
    assert made == sorted(set(made))
    assert len(made) == 24
    assert left_of(tmp_path) == []


def test_a_worker_that_is_stopped_past_its_lease_again_and_again(tmp_path):
    """Its late results harm nothing, and it goes on with other units."""
    moments, numbers = random.Random(5), 18
    sleepy = start(tmp_path, 0.6, numbers, 1, lease=0.6)
    wait_for(lambda: list((tmp_path / "witnesses").glob("*")))
    other = start(tmp_path, 0.6, numbers, 1, lease=0.6)
    for _ in range(4):
        for worker in workers_of(sleepy.pid):
            os.kill(worker, signal.SIGSTOP)
        time.sleep(1.5)
        for worker in workers_of(sleepy.pid):
            os.kill(worker, signal.SIGCONT)
        time.sleep(moments.uniform(0.0, 0.5))
    for process in (sleepy, other):
        process.join(300)
        assert process.exitcode == 0
    assert results(tmp_path) == expected(numbers)
    assert left_of(tmp_path) == []


def left_of(folder):
    """What claims and attempts are still there."""
    rooms = [folder / "jobs" / room for room in ("claims", "attempts", "failures")]
    return [path for room in rooms if room.is_dir() for path in room.iterdir()]


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

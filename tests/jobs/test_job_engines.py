"""Engines by name, and how much of a machine the local one gives away."""

import multiprocessing
import os
import sys
import time
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from torchcross.errors import InputError, MissingExtraError
from torchcross.jobs import (
    ExecutorEngine,
    LocalEngine,
    Resources,
    WorkerEnded,
    job_engine_named,
)
from torchcross.jobs.engines import local
from torchcross.jobs.engines.durations import minutes_of
from torchcross.jobs.processes import ProcessIdentity, is_running, this_process

GB = 1024**3


def test_engines_have_names():
    assert isinstance(job_engine_named("local", {"jobs": 1}), LocalEngine)
    with pytest.raises(InputError, match=r"no engine is called 'locl'; did you mean 'local'\?"):
        job_engine_named("locl", {})
    with pytest.raises(InputError, match=r"engine 'local' does not take the settings \['job'\]"):
        job_engine_named("local", {"job": 1})


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_library_is_an_extra_to_install(name, module):
    if find_spec(module):
        pytest.skip(f"{module} is installed here")
    with pytest.raises(MissingExtraError, match=rf"pip install 'torchcross-fewshot\[{name}\]'"):
        job_engine_named(name, {"folder": "logs"} if name == "slurm" else {})


@pytest.mark.parametrize(
    "make",
    [
        lambda: LocalEngine(jobs=0),
        lambda: LocalEngine(cores=0),
        lambda: ExecutorEngine(None, slots=0),  # type: ignore[arg-type]
    ],
)
def test_an_engine_that_runs_nothing_is_refused(make):
    with pytest.raises(InputError, match="runs nothing"):
        make()


@pytest.mark.slow
def test_a_machine_is_never_given_away_twice():
    engine = LocalEngine(jobs=3, cores=4, memory=8 * GB)
    assert engine.has_room(Resources(cores=9, memory=99 * GB)), "alone, whatever it takes"
    first = engine.submit(time.sleep, 1.0, resources=Resources(cores=2, memory=5 * GB))
    assert engine.has_room(Resources(cores=2, memory=3 * GB))
    assert not engine.has_room(Resources(cores=3))
    assert not engine.has_room(Resources(cores=1, memory=4 * GB))
    second = engine.submit(os.getpid, resources=Resources(cores=2))
    threads = engine.submit(os.getenv, "OMP_NUM_THREADS", resources=Resources(cores=2))
    wait([first, second, threads])
    assert engine.has_room(Resources(cores=4, memory=8 * GB))
    assert threads.result() == "2"
    engine.shutdown()


@pytest.mark.slow
def test_a_worker_that_dies_takes_no_other_call_with_it():
    engine = LocalEngine(jobs=2, cores=2)
    other = engine.submit(time.sleep, 0.5, resources=Resources())
    dead = engine.submit(os._exit, 3, resources=Resources())
    with pytest.raises(WorkerEnded):
        dead.result(60)
    assert other.result(60) is None
    assert engine.submit(os.getpid, resources=Resources()).result(60) != os.getpid()
    engine.shutdown()


@pytest.mark.slow
def test_a_worker_that_dies_while_it_starts_is_followed_by_another(monkeypatch):
    start, deaths = local._start_worker, iter([True, True, False])

    def start_and_die(*arguments):
        if next(deaths):
            raise BrokenProcessPool
        return start(*arguments)

    monkeypatch.setattr(local, "_start_worker", start_and_die)
    engine = LocalEngine(jobs=1, cores=1)
    assert engine.submit(os.getpid, resources=Resources()).result() != os.getpid()
    engine.shutdown()
    deaths = iter([True] * 99)
    with pytest.raises(InputError, match="10 worker processes in a row ended"):
        LocalEngine(jobs=1, cores=1).submit(os.getpid, resources=Resources())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by a POSIX signal")
@pytest.mark.parametrize("seconds", [0.0, pytest.param(600.0, marks=pytest.mark.long)])
def test_workers_end_with_a_coordinator_that_is_killed(seconds):
    """Idle ones at once; one at work ends its unit, which can be continued."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    coordinator = multiprocessing.get_context("spawn").Process(
        target=start_a_worker, args=(sender, seconds)
    )
    coordinator.start()
    worker = this_process_of(receiver.recv())
    assert is_running(worker)
    coordinator.kill()
    coordinator.join()
    deadline = time.monotonic() + 60
    while is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start_a_worker(sender, seconds):
    engine = LocalEngine(jobs=1, cores=1)
    worker = engine.submit(this_process, resources=Resources()).result()
    engine.submit(time.sleep, seconds, resources=Resources())
    sender.send(worker.as_plain())
    time.sleep(600)


def this_process_of(plain):
    identity = ProcessIdentity.from_plain(plain)
    if not identity.machine:
        pytest.skip("this system does not say which process is which")
    return identity


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("4h", 240), ("1h 30min", 90), ("2d", 2880), ("90s", 2), (15, 15), (0.5, 1), ("1.5h", 90)],
)
def test_durations_are_read_as_people_write_them(text, minutes):
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "4 hours", "h", "-4h", "4h-", 0, -1, float("nan"), True])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InputError, match="is no duration; write '4h'"):
        minutes_of(text)


@max_examples(20)
@given(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99))
def test_parts_of_a_duration_are_added(days, hours, minutes):
    total = 1440 * days + 60 * hours + minutes
    if total:
        assert minutes_of(f"{days}d {hours}h {minutes}m") == total

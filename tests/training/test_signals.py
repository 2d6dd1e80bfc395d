"""Ctrl-C and the request to terminate: the step is finished, a checkpoint written, and the next
call goes on.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.training.subjects import Few, Told, bits, equal, magnitude, options, protonet, sampler
from torchcross.data import Episodes
from torchcross.errors import ReadError
from torchcross.training import fit, read_log

ROOT = Path(__file__).parents[2]
POSIX = [getattr(signal, name) for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)]
"""Signals that Windows does not have."""


def sent(*calls, number=signal.SIGINT, times=1):
    """An algorithm during whose calls a signal comes."""

    def told(_self, call, step, _items):
        for _ in range(times if call in calls else 0):
            os.kill(os.getpid(), number)
        return step

    return Told(protonet(), told)


def never():
    return Told(protonet(), lambda _self, _call, step, _items: step)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGINT, KeyboardInterrupt),
        (signal.SIGTERM, SystemExit),
        *[(number, SystemExit) for number in POSIX],
    ],
)
def test_it_stops_after_the_step_and_goes_on(number, error, tmp_path):
    watched = (signal.SIGINT, signal.SIGTERM, *POSIX)
    handlers = [signal.getsignal(number) for number in watched]
    with pytest.raises(error) as caught:
        fit(sent(3, number=number), sampler(), options(), folder=tmp_path)
    said = (
        "training stopped after step 3 of 6; its checkpoint is written, and the same call goes on"
        " from there"
    )
    assert str(caught.value) == (str(128 + number) if error is SystemExit else said)
    assert [signal.getsignal(number) for number in watched] == handlers
    assert [row[0] for row in read_log(tmp_path)] == [1, 2, 3]
    assert (tmp_path / "checkpoint-00000003.safetensors").exists()
    again, whole = never(), never()
    fit(again, sampler(), options(), folder=tmp_path)
    fit(whole, sampler(), options())
    assert equal(bits(again), bits(whole))
    # Three steps were left: nothing was done twice.
    assert again.calls == 3


@pytest.mark.long
def test_the_second_signal_stops_at_once(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="in the middle of a step"):
        fit(sent(3, times=2), sampler(), options(), folder=tmp_path)
    assert [row[0] for row in read_log(tmp_path)] == [1, 2]
    again, whole = never(), never()
    fit(again, sampler(), options(), folder=tmp_path)
    fit(whole, sampler(), options())
    assert equal(bits(again), bits(whole))


def test_a_signal_in_the_last_step_is_not_lost(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="training is finished"):
        fit(sent(6), sampler(), options(), folder=tmp_path)
    again = never()
    assert fit(again, sampler(), options(), folder=tmp_path).steps == 6
    assert again.calls == 0


def test_a_signal_during_validation_is_kept(tmp_path):
    def validate(algorithm):
        os.kill(os.getpid(), signal.SIGINT)
        return magnitude(algorithm)

    with pytest.raises(KeyboardInterrupt, match="after step 2 of 6"):
        fit(never(), sampler(), options(validate_every=2), validate=validate, folder=tmp_path)
    assert read_log(tmp_path)[-1][4] is not None


def test_without_a_folder_signals_are_left_alone():
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(sent(3), sampler(), options())
    assert not caught.value.args


def test_in_another_thread_signals_are_left_alone(tmp_path):
    done = []
    thread = threading.Thread(
        target=lambda: done.append(fit(never(), sampler(), options(), folder=tmp_path))
    )
    thread.start()
    thread.join()
    assert done[0].steps == 6


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    """As `nohup`, and a shell that starts a process in the background, leave it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        result = fit(sent(3), sampler(), options(), folder=tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.steps == 6


@pytest.mark.skipif(not POSIX, reason="there is no SIGUSR1 here")
def test_a_handler_of_the_caller_stays(tmp_path):
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        result = fit(sent(3, number=signal.SIGUSR1), sampler(), options(), folder=tmp_path)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (result.steps, seen) == (6, [signal.SIGUSR1])


class Slow(Few):
    """A feed whose item number `slow` never comes; a signal is sent while it is awaited."""

    slow, number = 0, signal.SIGINT

    def read(self, start, stop, *, rank=0, ranks=1):
        for index, item in enumerate(super().read(start, stop, rank=rank, ranks=ranks), start):
            if index == self.slow:
                threading.Timer(0.1, os.kill, (os.getpid(), self.number)).start()
                time.sleep(60)
            yield item


@pytest.mark.parametrize(("slow", "step"), [(0, 0), (6, 3)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_read_that_hangs_is_left_and_a_checkpoint_written(slow, step, number, tmp_path):
    feed = Slow(Episodes(sampler()), 12)
    feed.slow, feed.number = slow, number
    began = time.monotonic()
    with pytest.raises((KeyboardInterrupt, SystemExit)) as caught:
        fit(never(), feed, options(), folder=tmp_path)
    assert time.monotonic() - began < 30
    if number == signal.SIGINT:
        assert f"training stopped after step {step} of 6" in str(caught.value)
    assert (tmp_path / f"checkpoint-{step:08d}.safetensors").exists()
    again, whole = never(), never()
    fit(again, Few(Episodes(sampler()), 12), options(), folder=tmp_path)
    fit(whole, Few(Episodes(sampler()), 12), options())
    assert equal(bits(again), bits(whole))
    assert again.calls == 6 - step


class Forking(Few):
    """A feed that starts a process with its first item."""

    child = 0

    def read(self, start, stop, *, rank=0, ranks=1):
        for item in super().read(start, stop, rank=rank, ranks=ranks):
            if not self.child:
                self.child = os.fork()
                while not self.child:
                    time.sleep(60)
                self.look()
            yield item

    def look(self):
        for number in (signal.SIGINT, *POSIX):
            os.kill(self.child, number)
        time.sleep(0.2)
        assert os.waitpid(self.child, os.WNOHANG) == (0, 0), "it goes on"
        os.kill(self.child, signal.SIGTERM)
        assert os.waitpid(self.child, 0)[1] == signal.SIGTERM


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process is forked here")
def test_a_process_that_reads_ahead_sees_no_ctrl_c_and_can_be_ended(tmp_path):
    feed = Forking(Episodes(sampler()), 12)
    assert fit(never(), feed, options(), folder=tmp_path).steps == 6
    assert feed.child


@pytest.mark.slow
def test_a_worker_that_is_killed_is_explained(tmp_path):
    def kill(_self, call, step, _items):
        if call == 2:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)
            time.sleep(0.5)
        return step

    with pytest.raises(ReadError, match=r"process that read ahead has died.*workers=0"):
        fit(Told(protonet(), kill), sampler(), options(steps=200, workers=1), folder=tmp_path)


def test_processes_that_cannot_be_started_are_explained(tmp_path, monkeypatch):
    def refused(*given, **more):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("torch.utils.data.DataLoader.__iter__", refused)
    with pytest.raises(
        ReadError, match=r"cannot be started \(Function not implemented\).*workers=0"
    ):
        fit(never(), sampler(), options(workers=1), folder=tmp_path)


CTRL_C = """
import sys
from pathlib import Path
import torch
from tests.training.subjects import options, protonet, sampler, magnitude
from torchcross.training import fit
torch.set_num_threads(1)
fit(protonet(), sampler(), options(steps=100000, workers=2), folder=Path(sys.argv[1]))
"""


@pytest.mark.long
def test_ctrl_c_reaches_the_workers_too_and_they_go_on(tmp_path):
    """A terminal sends it to the whole group of processes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", CTRL_C, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, start_new_session=True
    ) as run:
        log = tmp_path / "log.csv"
        while run.poll() is None and not (log.exists() and log.stat().st_size > 300):
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate()
    assert b"KeyboardInterrupt: training stopped after step" in said, said.decode()
    steps = len(read_log(tmp_path))
    assert (tmp_path / f"checkpoint-{steps:08d}.safetensors").exists()

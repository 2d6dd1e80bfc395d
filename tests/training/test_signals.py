"""Ctrl-C and the request to terminate: the step is finished, a checkpoint written, and the next
call goes on.
"""

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
from torchcross.training import fit, read_log

ROOT = Path(__file__).parents[2]


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
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_it_stops_after_the_step_and_goes_on(number, error, tmp_path):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(error) as caught:
        fit(sent(3, number=number), sampler(), options(), folder=tmp_path)
    said = (
        "training stopped after step 3 of 6; its checkpoint is written, and the same call goes on"
        " from there"
    )
    assert str(caught.value) == ("143" if error is SystemExit else said)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert [row[0] for row in read_log(tmp_path)] == [1, 2, 3]
    assert (tmp_path / "checkpoint-00000003.safetensors").exists()
    again, whole = never(), never()
    fit(again, sampler(), options(), folder=tmp_path)
    fit(whole, sampler(), options())
    assert equal(bits(again), bits(whole))
    # Three steps were left: nothing was done twice.
    assert again.calls == 3


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


class Watching(Few):
    """A feed that looks which signals are held back, as processes begun by it would inherit it."""

    def read(self, start, stop, *, rank=0, ranks=1):
        for item in super().read(start, stop, rank=rank, ranks=ranks):
            self.asked.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
            yield item


def test_processes_that_read_ahead_never_see_ctrl_c(tmp_path):
    feed = Watching(Episodes(sampler()), 12)
    fit(never(), feed, options(), folder=tmp_path)
    # They are begun with the first item.
    assert feed.asked == [(0, 12), True, *[False] * 11]


CTRL_C = """
import sys
from pathlib import Path
import torch
from tests.training.subjects import options, protonet, sampler, magnitude
from torchcross.training import fit
torch.set_num_threads(1)
fit(protonet(), sampler(), options(steps=100000, workers=2), folder=Path(sys.argv[1]))
"""


@pytest.mark.slow
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

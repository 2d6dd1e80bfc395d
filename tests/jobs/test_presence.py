"""Processes in a job's folder: who is there, one at a time where it must be, nothing left."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from torchcross.jobs.claims import Claims
from torchcross.jobs.presence import enter


def stay(folder, arrived, turn):
    with enter(folder) as presence:
        if turn:
            with presence.turn():
                arrived.set()
                time.sleep(60)
        arrived.set()
        time.sleep(60)


def process_that_stays(folder, *, turn=False):
    context = multiprocessing.get_context("spawn")
    arrived = context.Event()
    process = context.Process(target=stay, args=(folder, arrived, turn))
    process.start()
    assert arrived.wait(60)
    return process


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_nothing_is_left_when_the_last_process_goes(tmp_path):
    folder = tmp_path / "run" / "jobs"
    with enter(folder) as first:
        with enter(folder) as second:
            assert len(first.others()) == len(second.others()) == 1
            with second.turn():
                (folder / "claims").mkdir()
        # The other one may be about to create a claim.
        assert (folder / "claims").is_dir()
        assert not first.others()
    assert list((tmp_path / "run").iterdir()) == []


def test_files_of_others_stay(tmp_path):
    with enter(tmp_path / "jobs"):
        (tmp_path / "jobs" / "failures").mkdir()
        (tmp_path / "jobs" / "failures" / "a.json").touch()
    assert [path.name for path in (tmp_path / "jobs").rglob("*")] == ["failures", "a.json"]


@pytest.mark.slow
def test_a_killed_process_is_no_longer_there_and_leaves_nothing(tmp_path):
    other = process_that_stays(tmp_path / "jobs")
    with enter(tmp_path / "jobs") as presence:
        assert len(presence.others()) == 1
        kill(other)
        assert not presence.others()
    with enter(tmp_path / "jobs"):
        pass
    assert not (tmp_path / "jobs").exists()


@pytest.mark.slow
def test_the_turn_of_a_killed_process_ends(tmp_path):
    kill(process_that_stays(tmp_path / "jobs", turn=True))
    with enter(tmp_path / "jobs") as presence, presence.turn():
        pass
    assert not (tmp_path / "jobs").exists()


def test_turns_never_overlap(tmp_path):
    inside, overlaps = [], []

    def work():
        with enter(tmp_path / "jobs") as presence:
            for _ in range(5):
                with presence.turn():
                    overlaps.extend(inside)
                    inside.append(threading.get_ident())
                    time.sleep(0.001)
                    inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not overlaps
    assert not (tmp_path / "jobs").exists()


def test_a_claim_makes_its_folder_again(tmp_path):
    """A process that leaves removes empty folders, perhaps while another one arrives."""
    assert Claims(tmp_path / "jobs" / "claims").create("a") is not None

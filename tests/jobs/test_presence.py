"""Processes in a job's folder: who is there, one at a time where it must be, nothing left."""

import json
import multiprocessing
import os
import signal
import threading
import time

import pytest

from torchcross.jobs.claims import Claims
from torchcross.jobs.presence import Presence, enter
from torchcross.jobs.processes import ProcessIdentity


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


# -- the dead of other machines, and the last one --------------------------------------------------


def dead_process_elsewhere(folder, part="processes", key="process-dead"):
    """What a process of another machine left that was killed."""
    owner = ProcessIdentity("another-host", 4711, "another machine", "1").as_plain()
    path = folder / part / f"{key}.0"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0" * 19 + b"7\n" + json.dumps({"owner": owner, "token": "x"}).encode())
    return path


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_died_on_another_machine_is_known_to_be_dead_when_it_matters(tmp_path):
    """It is watched all the time: nobody waits for it in the end."""
    record = dead_process_elsewhere(tmp_path / "jobs")
    with enter(tmp_path / "jobs", lease=0.3) as presence:
        assert len(presence.others()) == 1
        wait_for(lambda: not record.exists())
        assert not presence.others()
    assert not (tmp_path / "jobs").exists()


def test_whose_turn_it_is_is_watched_too(tmp_path):
    dead_process_elsewhere(tmp_path / "jobs", "turns", "turn")
    with enter(tmp_path / "jobs", lease=0.3) as presence:
        with presence.turn_if_free() as is_ours:
            assert not is_ours
        time.sleep(0.5)
        with presence.turn_if_free() as is_ours:
            assert is_ours


def test_of_many_others_a_heartbeat_looks_at_some_and_in_the_end_at_all(tmp_path):
    presence = Presence(tmp_path, 60.0)
    keys = [f"process-{number:03}" for number in range(40)]
    for key in keys:
        dead_process_elsewhere(tmp_path, key=key)
    looked, look = [], presence._processes.look
    presence._processes.look = lambda key: looked.append(key) or look(key)
    for expected in (16, 32, 40):
        presence.watch_others()
        assert looked == keys[:expected]
    presence.leave()


def test_who_was_taken_for_dead_comes_back(tmp_path):
    with enter(tmp_path / "jobs", lease=0.3) as late, enter(tmp_path / "jobs") as other:
        for record in other.others():
            (tmp_path / "jobs" / "processes" / record.name).unlink()
        wait_for(other.others)
        late.leave()
        late.keep_up()
        assert not other.others(), "who has left does not come back"


def test_a_turn_that_is_not_free_is_not_waited_for(tmp_path):
    with enter(tmp_path / "jobs") as first, enter(tmp_path / "jobs") as second:
        with first.turn(), second.turn_if_free() as is_ours:
            assert not is_ours
        with second.turn_if_free() as is_ours:
            assert is_ours


def test_of_all_that_leave_in_a_turn_exactly_one_is_the_last(tmp_path):
    arrived, last = threading.Barrier(4), []

    def work():
        with enter(tmp_path / "jobs") as presence:
            arrived.wait()
            with presence.turn():
                presence.leave()
                if not presence.others():
                    last.append(threading.get_ident())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(last) == 1

"""At any moment at most one living process makes a unit."""

import dataclasses
import io
import json
import subprocess
import sys
import threading

import pytest

from torchcross.errors import WriteError
from torchcross.jobs import claims as claims_module
from torchcross.jobs.claims import Claims
from torchcross.jobs.observer import ThisProcess
from torchcross.jobs.processes import ProcessIdentity, is_running, this_process

ELSEWHERE = ProcessIdentity("another-host", 4711, "another machine", "1")


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(ThisProcess, "now", lambda self: clock.now)
    return clock


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path, lease=60)


def claim_of(owner, claims, key="a", generation=0):
    """A claim that another process has made."""
    path = claims.folder / f"{key}.{generation}"
    record = {"owner": owner.as_plain(), "token": "x"}
    path.write_bytes(b"0" * 19 + b"7\n" + json.dumps(record).encode())
    return path


def test_of_many_threads_one_gets_a_claim(claims):
    barrier, held = threading.Barrier(8), []

    def work():
        barrier.wait()
        held.append(claims.take("a"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in held) == 1


def test_a_living_owner_keeps_its_claim(claims):
    claim = claims.take("a")
    assert claims.take("a") is None
    claim.release()
    assert claims.take("a") is not None


def test_the_claim_of_a_process_that_ended_is_taken_at_once(claims):
    code = "from torchcross.jobs.processes import this_process; print(this_process().as_plain())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    owner = ProcessIdentity(**eval(ended.stdout))
    if not owner.machine:
        pytest.skip("this system does not say which process is which")
    claim_of(owner, claims)
    assert claims.take("a").generation == 1


def test_a_process_number_that_was_given_again_is_not_the_owner():
    here = this_process()
    if not here.machine:
        pytest.skip("this system does not say which process is which")
    assert is_running(here) is True
    assert is_running(dataclasses.replace(here, started="1")) is False
    assert is_running(ELSEWHERE) is None


def test_the_owner_on_another_machine_is_dead_after_the_lease(claims, clock):
    claim_of(ELSEWHERE, claims)
    assert claims.take("a") is None
    clock.now = 59.0
    assert claims.take("a") is None
    clock.now = 60.0
    assert claims.take("a").generation == 1


def test_a_heartbeat_starts_the_lease_again(claims, clock):
    path = claim_of(ELSEWHERE, claims)
    assert claims.take("a") is None
    clock.now = 59.0
    path.write_bytes(path.read_bytes().replace(b"7\n", b"8\n", 1))
    assert claims.take("a") is None
    clock.now = 118.0
    assert claims.take("a") is None
    clock.now = 119.0
    assert claims.take("a") is not None


def test_what_another_watched_counts_while_the_heartbeat_stands(claims):
    path = claim_of(ELSEWHERE, claims)
    dead = claims.holder("a")
    path.write_bytes(path.read_bytes().replace(b"7\n", b"8\n", 1))
    assert claims.take("a", dead) is None
    assert claims.take("a", claims.holder("a")) is not None


def test_the_late_owner_finds_out_and_makes_no_file_again(claims):
    late = claims.take("a")
    successor = claims.create("a", 1)
    assert late.is_lost()
    late.beat()
    late.release()
    assert claims.take("a") is None, "the successor holds it"
    assert not successor.is_lost()
    successor.release()
    late.beat()
    assert list(claims.folder.iterdir()) == []


def test_heartbeats_are_seen_by_others(claims):
    claim = claims.take("a")
    before = claims.holder("a").beat
    claim.beat()
    assert claims.holder("a").beat == before + 1
    with claim.heartbeat(lease=0.06):
        while claims.holder("a").beat < before + 4:
            pass


def test_claims_are_free_when_they_are_gone_or_their_owner_is_silent(claims, clock, monkeypatch):
    path = claim_of(ELSEWHERE, claims)
    claim_of(ELSEWHERE, claims, "b", 0)
    claim_of(ELSEWHERE, claims, "b", 1)
    reads = []
    read = claims_module.read_claim
    monkeypatch.setattr(
        claims_module, "read_claim", lambda *each: reads.append(each) or read(*each)
    )
    keys = ["a", "b", "gone"]
    assert claims.free(keys, claims.generations(), keys) == {"gone": None}
    clock.now = 9.0
    assert claims.free(keys, claims.generations(), keys) == {"gone": None}
    assert len(reads) == 2, "a claim is not read again before it should have beaten"
    clock.now = 30.0
    path.write_bytes(path.read_bytes().replace(b"7\n", b"8\n", 1))
    assert claims.free(keys, claims.generations(), keys) == {"gone": None}
    clock.now = 60.0
    free = claims.free(keys, claims.generations(), keys)
    assert {key: record and record.name for key, record in free.items()} == {
        "b": "b.1",
        "gone": None,
    }
    path.unlink()
    assert claims.free(["a"], {"a": 0}, ["a"]) == {}, "it was there when it was read last"
    clock.now = 70.0
    assert claims.free(["a"], {"a": 0}, ["a"]) == {"a": None}


def test_claims_that_are_not_urgent_are_read_twice_in_a_lease(claims, clock, monkeypatch):
    claim_of(ELSEWHERE, claims, "old")
    reads = []
    read = claims_module.read_claim
    monkeypatch.setattr(
        claims_module, "read_claim", lambda *each: reads.append(each[1]) or read(*each)
    )
    assert claims.free(["old"], claims.generations(), []) == {}
    assert reads == ["old"], "what is there in the beginning is read at once"
    claim_of(ELSEWHERE, claims, "new")
    keys = ["old", "new"]
    for clock.now in (1.0, 29.0, 30.0, 31.0):
        assert claims.free(keys, claims.generations(), []) == {}
    assert reads == ["old", "old", "new"]
    clock.now = 61.0
    assert list(claims.free(keys, claims.generations(), [])) == ["old"]
    clock.now = 91.0
    assert list(claims.free(["new"], claims.generations(), [])) == ["new"]
    claim_of(ELSEWHERE, claims, "urgent")
    assert claims.free(["urgent"], claims.generations(), ["urgent"]) == {}
    assert reads[-1] == "urgent"


def test_a_damaged_claim_is_held_until_the_lease_ends(claims, clock):
    for content in (b"", b"\xff\xfe", b"12", b"1\n[1]", b'1\n{"host": 1}'):
        (claims.folder / "a.0").write_bytes(content)
        assert claims.take("a") is None
        clock.now += 60.0
        claims.take("a").release()
        assert list(claims.folder.iterdir()) == []
        claims.take("a").release()


def test_all_names_the_newest_claim_of_each_unit(claims):
    claims.take("a")
    claims.create("a", 1)
    claims.take("b-2")
    (claims.folder / "not a claim").touch()
    assert {(each.key, each.generation) for each in claims.all()} == {("a", 1), ("b-2", 0)}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="every worker must be able to write"):
        Claims(tmp_path / "file" / "claims").take("a")


@pytest.mark.parametrize("end", [SystemExit(143), OSError(28, "No space left on device")])
def test_who_is_asked_to_end_while_it_creates_a_claim_leaves_none(claims, monkeypatch, end):
    """An empty one would be held for the lease: nobody knows its owner."""

    class Interrupted(io.BytesIO):
        def write(self, content):
            raise end

    def open_new(path):
        path.touch()
        return Interrupted()

    with monkeypatch.context() as patch:
        patch.setattr(claims_module, "create_file", open_new)
        with pytest.raises(SystemExit if isinstance(end, SystemExit) else WriteError):
            claims.take("a")
    assert claims.take("a") is not None

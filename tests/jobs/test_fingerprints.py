"""Processes of another kind are refused, by name, before they have written anything."""

import threading

import pytest

from torchcross.errors import InputError, ReadError, WriteError
from torchcross.jobs import JobFolder

KIND = {"version": "1", "hardware": "a"}


def tree(path):
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


@pytest.fixture
def folder(tmp_path):
    return JobFolder(tmp_path / "job")


def test_another_kind_is_refused_by_name(folder):
    folder.open(KIND)
    with pytest.raises(InputError, match=r"at work on .*job are of another kind: version is '2' "):
        folder.open({**KIND, "version": "2"})
    with pytest.raises(InputError, match="data is 'x' here and 'missing' there"):
        folder.refuse_others({**KIND, "data": "x"})
    many = {f"name{number}": "x" for number in range(6)}
    with pytest.raises(InputError, match=r"and 2 more\. Give this process"):
        folder.open({**KIND, **many})
    folder.open(KIND)


def test_who_is_refused_writes_nothing(folder):
    """Not even what it would decide."""
    folder.open({"version": "1", "hardware": None})
    for path in (folder.path / "jobs").iterdir():
        if path.is_dir():
            path.rmdir()
    before = tree(folder.path)
    for refuse in (folder.open, folder.refuse_others):
        with pytest.raises(InputError, match="version is '2' here"):
            refuse({"version": "2", "hardware": "b"})
    assert tree(folder.path) == before


def test_the_first_worker_decides_what_a_coordinator_leaves_open(folder):
    folder.open({"version": "1", "hardware": None})
    folder.refuse_others(KIND)
    with pytest.raises(InputError, match="hardware is 'b' here and 'a' there"):
        folder.refuse_others({**KIND, "hardware": "b"})
    # A coordinator that does not compute may join; one that does is a worker like the others.
    folder.open({"version": "1", "hardware": None})
    folder.open(KIND)
    with pytest.raises(InputError, match="hardware is 'b' here"):
        folder.open({**KIND, "hardware": "b"})
    folder.forget_fingerprint()
    folder.open({**KIND, "hardware": "b"})
    folder.open({"version": "1", "hardware": None})


def test_of_many_that_decide_at_once_one_does(folder):
    folder.open({"a/b": None})
    barrier, refused = threading.Barrier(8), []

    def decide(value):
        barrier.wait()
        try:
            folder.refuse_others({"a/b": value})
        except InputError:
            refused.append(value)

    threads = [threading.Thread(target=decide, args=(str(each),)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert tree(folder.path / "jobs" / "decided") == ["a%2Fb.json"]


def test_of_many_that_begin_at_once_one_says_what_the_job_is(folder):
    barrier, refused = threading.Barrier(8), []

    def begin(value):
        barrier.wait()
        try:
            folder.open({"version": value})
        except InputError:
            refused.append(value)

    threads = [threading.Thread(target=begin, args=(str(each),)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7


def test_a_damaged_record_is_named(folder):
    folder.open({"version": None})
    (folder.path / "jobs" / "decided").mkdir()
    (folder.path / "jobs" / "decided" / "version.json").write_text("{}")
    with pytest.raises(ReadError, match=r"version\.json cannot be read"):
        folder.refuse_others({"version": "1"})
    (folder.path / "jobs" / "job.json").write_text("[]")
    with pytest.raises(ReadError, match=r"job\.json cannot be read"):
        folder.refuse_others({"version": "1"})


def test_a_value_that_cannot_be_decided_is_an_error(folder):
    folder.open({"version": None})
    (folder.path / "jobs" / "decided").touch()
    with pytest.raises(WriteError, match=r"version\.json cannot be written"):
        folder.refuse_others({"version": "1"})

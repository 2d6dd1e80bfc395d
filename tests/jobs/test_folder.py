"""Results appear whole, once, and the same; attempts go on from the last one's whole files."""

import errno
import os

import pytest

from torchcross.errors import InputError, ReadError, WriteError
from torchcross.jobs import JobFolder, Unit, UnitFailure

UNIT = Unit("a", ("files/a.txt", "folders/a", "rows/a.csv"))


@pytest.fixture
def folder(tmp_path):
    folder = JobFolder(tmp_path / "job")
    folder.open({"version": "1"})
    return folder


def attempt_of(folder, text="one"):
    attempt = folder.begin_attempt(UNIT.key)
    for name in ("files/a.txt", "folders/a/inside.txt", "rows/a.csv"):
        (attempt / name).parent.mkdir(parents=True, exist_ok=True)
        (attempt / name).write_text(text)
    return attempt


def contents(folder):
    return {
        str(path.relative_to(folder.path)): path.read_text()
        for path in sorted(folder.path.rglob("*"))
        if path.is_file() and "jobs" not in path.parts
    }


EVERYTHING = {"files/a.txt": "one", "folders/a/inside.txt": "one", "rows/a.csv": "one"}


@pytest.mark.parametrize("has_hard_links", [True, False])
def test_results_of_two_attempts_are_there_once(folder, monkeypatch, has_hard_links):
    if not has_hard_links:

        def refuse(*_):
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    first, second = attempt_of(folder), attempt_of(folder)
    assert first != second
    assert not folder.is_done(UNIT)
    folder.publish(UNIT, first)
    assert folder.is_done(UNIT)
    folder.publish(UNIT, second)
    folder.remove_attempts(UNIT.key)
    assert contents(folder) == EVERYTHING


def test_what_makes_a_unit_done_comes_last(folder, monkeypatch):
    attempt = attempt_of(folder)
    order = []
    link = os.link

    def watched(source, place):
        assert not folder.is_done(UNIT)
        link(source, place)
        order.append(place.name)

    monkeypatch.setattr(os, "link", watched)
    folder.publish(UNIT, attempt)
    assert order == ["a.txt", "a.csv"]


@pytest.mark.parametrize("name", ["files/a.txt", "folders/a/inside.txt", "rows/a.csv"])
def test_a_unit_whose_bytes_depend_on_who_made_it_is_an_error(folder, name):
    folder.publish(UNIT, attempt_of(folder))
    other = attempt_of(folder)
    (other / name).write_text("two")
    with pytest.raises(WriteError, match="there already with other content"):
        folder.publish(UNIT, other)
    assert contents(folder) == EVERYTHING


def test_a_unit_that_lacks_a_result_is_not_published(folder):
    attempt = attempt_of(folder)
    (attempt / "rows/a.csv").unlink()
    with pytest.raises(WriteError, match=r"without writing rows/a\.csv"):
        folder.publish(UNIT, attempt)
    assert contents(folder) == {}


def test_an_interrupted_publication_is_ended_by_the_next_attempt(folder, monkeypatch):
    first = attempt_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr("torchcross.jobs.folder.sync_folder", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            folder.publish(UNIT, first)
    assert not folder.is_done(UNIT)
    folder.publish(UNIT, attempt_of(folder))
    assert contents(folder) == EVERYTHING


def test_an_attempt_begins_with_the_whole_files_of_the_last_one(folder):
    first = folder.begin_attempt("a")
    (first / "train").mkdir()
    (first / "train" / "checkpoint").write_text("step 10")
    (first / "train" / "checkpoint.4711.part").write_text("st")
    second = folder.begin_attempt("a")
    copied = [path.name for path in second.rglob("*") if path.is_file()]
    assert copied == ["checkpoint"]
    (second / "train" / "checkpoint").write_text("step 20")
    assert (first / "train" / "checkpoint").read_text() == "step 10"
    third = folder.begin_attempt("a")
    assert (third / "train" / "checkpoint").read_text() == "step 20"
    assert folder.begin_attempt("ab").name == "ab.1"
    folder.remove_attempts("a")
    assert [path.name for path in third.parent.iterdir()] == ["ab.1"]


def test_another_job_is_refused_by_name(folder):
    with pytest.raises(InputError, match="version is '2' here and '1' there"):
        folder.open({"version": "2"})
    with pytest.raises(InputError, match="data is 'x' here and 'missing' there"):
        JobFolder(folder.path).refuse_others({"version": "1", "data": "x"})
    folder.open({"version": "1"})


def test_a_damaged_record_is_named(folder):
    (folder.path / "jobs" / "job.json").write_text("[]")
    with pytest.raises(ReadError, match=r"job\.json cannot be read"):
        folder.refuse_others({"version": "1"})


def test_failures_are_kept_until_they_are_removed(folder):
    failure = UnitFailure("a", "ValueError", "because", "host", 1)
    folder.write_failure(failure)
    (folder.path / "jobs" / "failures" / "b.json").write_text("{")
    assert folder.failures() == {"a": failure}
    assert folder.failure_of("a") == failure
    assert folder.failure_of("b") is None
    assert folder.failure_of("c") is None
    folder.remove_failure("a")
    folder.remove_failure("a")
    assert folder.failures() == {}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be written to"):
        JobFolder(tmp_path / "file" / "job").open({})


def test_files_of_several_units_are_published_once(tmp_path):
    folder = JobFolder(tmp_path)
    folder.open({})
    units = [Unit(name, (f"{name}.txt",), shared=("plans.txt", "never.txt")) for name in "ab"]
    for unit in units:
        attempt = folder.begin_attempt(unit.key)
        (attempt / unit.results[0]).touch()
        (attempt / "plans.txt").write_text("the same")
        folder.publish(unit, attempt)
    assert (tmp_path / "plans.txt").read_text() == "the same"
    other = Unit("c", ("c.txt",), shared=("plans.txt",))
    attempt = folder.begin_attempt("c")
    (attempt / "c.txt").touch()
    (attempt / "plans.txt").write_text("another")
    with pytest.raises(WriteError, match="already with other content"):
        folder.publish(other, attempt)
    assert not folder.is_done(other)


def test_a_half_made_result_becomes_an_attempt(tmp_path):
    folder = JobFolder(tmp_path)
    folder.open({})
    (tmp_path / "train" / "a").mkdir(parents=True)
    (tmp_path / "train" / "a" / "checkpoint").write_text("half")
    folder.adopt_attempt("a", "train/a")
    assert not (tmp_path / "train" / "a").exists()
    attempt = folder.begin_attempt("a")
    assert (attempt / "train" / "a" / "checkpoint").read_text() == "half"

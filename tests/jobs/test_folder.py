"""Results appear whole, once, and the same; attempts go on from the last one's whole files."""

import errno
import os
import shutil

import pytest

from torchcross._kit.whole_files import unfinished_place
from torchcross.errors import WriteError
from torchcross.jobs import JobFolder, Unit, UnitFailure, attempts

UNIT = Unit("a", ("files/a.txt", "folders/a", "rows/a.csv"))


@pytest.fixture
def folder(tmp_path):
    folder = JobFolder(tmp_path / "job")
    folder.open({"version": "1"})
    return folder


def attempt_of(folder, text="one"):
    attempt = folder.attempts.begin(UNIT.key)
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
    folder.attempts.remove(UNIT.key)
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


def test_a_worker_killed_while_it_writes_progress_leaves_nothing(folder, monkeypatch):
    attempt_of(folder)

    def half_written(path, content):
        unfinished_place(path).write_text(content[:4])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "write_whole", half_written)
        with pytest.raises(KeyboardInterrupt):
            folder.attempts.begin(UNIT.key)
    folder.publish(UNIT, attempt_of(folder))
    folder.attempts.remove(UNIT.key)
    assert list(folder.attempts.folder.iterdir()) == []


def test_progress_is_not_written_of_a_unit_that_is_done_meanwhile(folder, monkeypatch):
    first, plain = attempt_of(folder), attempts.write_whole

    def publish_first(path, content):
        shutil.rmtree(first)
        plain(path, content)

    monkeypatch.setattr(attempts, "write_whole", publish_first)
    assert folder.attempts.begin(UNIT.key).is_dir()
    assert not list(folder.attempts.folder.glob("*.json*"))


def test_an_attempt_begins_with_the_whole_files_of_the_last_one(folder):
    first = folder.attempts.begin("a")
    (first / "train").mkdir()
    (first / "train" / "checkpoint").write_text("step 10")
    (first / "train" / "checkpoint.4711.part").write_text("st")
    second = folder.attempts.begin("a")
    copied = [path.name for path in second.rglob("*") if path.is_file()]
    assert copied == ["checkpoint"]
    (second / "train" / "checkpoint").write_text("step 20")
    assert (first / "train" / "checkpoint").read_text() == "step 10"
    third = folder.attempts.begin("a")
    assert (third / "train" / "checkpoint").read_text() == "step 20"
    assert folder.attempts.begin("ab").name == "ab.1"
    folder.attempts.remove("a")
    assert [path.name for path in third.parent.iterdir()] == ["ab.1"]


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
        attempt = folder.attempts.begin(unit.key)
        (attempt / unit.results[0]).touch()
        (attempt / "plans.txt").write_text("the same")
        folder.publish(unit, attempt)
    assert (tmp_path / "plans.txt").read_text() == "the same"
    other = Unit("c", ("c.txt",), shared=("plans.txt",))
    attempt = folder.attempts.begin("c")
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
    folder.attempts.adopt("a", tmp_path / "train" / "a", "train/a")
    assert not (tmp_path / "train" / "a").exists()
    attempt = folder.attempts.begin("a")
    assert (attempt / "train" / "a" / "checkpoint").read_text() == "half"


def test_a_half_made_result_takes_the_place_of_an_earlier_one(folder, tmp_path):
    checkpoint_of(folder.attempts.begin("a"), 1)
    half_made = tmp_path / "train"
    checkpoint_of(tmp_path, 2)
    folder.attempts.adopt("a", half_made, "train")
    attempt = folder.attempts.begin("a")
    assert [path.name for path in (attempt / "train").iterdir()] == ["checkpoint-2"]


def test_a_unit_that_is_held_is_made_by_nobody_else(folder):
    other = JobFolder(folder.path)
    with folder.hold("a") as is_ours:
        assert is_ours
        assert other.claims.take("a") is None
        with other.hold("a") as is_theirs:
            assert not is_theirs
    with other.hold("a") as is_theirs:
        assert is_theirs
    assert not list(folder.claims.folder.iterdir())


def test_a_failure_that_cannot_be_written_is_no_error(folder):
    (folder.path / "jobs" / "failures").rmdir()
    (folder.path / "jobs" / "failures").touch()
    assert not folder.write_failure(UnitFailure("a", "ValueError", "because", "host", 1))
    folder.remove_failure("a")
    assert folder.failure_of("a") is None


# -- attempts that were interrupted ----------------------------------------------------------------


def checkpoint_of(attempt, step):
    (attempt / "train").mkdir(exist_ok=True)
    (attempt / "train" / f"checkpoint-{step}").write_text(f"step {step}")


def test_who_is_killed_while_it_copies_loses_no_checkpoint(folder, monkeypatch):
    first = folder.attempts.begin("a")
    for step in (1, 2):
        checkpoint_of(first, step)
    plain, copied = shutil.copyfile, []

    def killed(source, target):
        if copied:
            target.write_text("st")
            raise KeyboardInterrupt
        copied.append(source)
        plain(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.attempts.begin("a")
    third = folder.attempts.begin("a")
    files = {path.name: path.read_text() for path in third.rglob("*") if path.is_file()}
    assert files == {"checkpoint-1": "step 1", "checkpoint-2": "step 2"}
    folder.attempts.remove("a")
    assert not list(folder.attempts.folder.iterdir())


def test_of_many_attempts_the_last_two_have_files(folder):
    for step in range(5):
        checkpoint_of(folder.attempts.begin("a"), step)
    kept = {
        path.name: len([each for each in path.rglob("*") if each.is_file()])
        for path in folder.attempts.folder.iterdir()
        if path.is_dir()
    }
    assert kept == {"a.1": 0, "a.2": 0, "a.3": 0, "a.4": 4, "a.5": 5}
    folder.attempts.remove("a")
    assert not list(folder.attempts.folder.iterdir())


@pytest.mark.parametrize(
    ("steps", "last", "progress"),
    [
        ([1, 2, 3], 3, 3),
        ([1, 1, 1], 3, 1),
        ([1, 1, 2], 2, 1),
        ([1, 2, 2, 2], 2, 0),
        ([1, 2, 1, 2], 4, 2),
        ([None, None], 2, 0),
        ([], 3, 0),
    ],
)
def test_an_attempt_that_leaves_a_new_file_made_progress(folder, steps, last, progress):
    for step in steps:
        attempt = folder.attempts.begin("a")
        if step is not None:
            checkpoint_of(attempt, step)
    assert folder.attempts.with_progress("a", last) == progress


def test_a_file_that_is_not_whole_is_no_progress(folder):
    """Its name is another one each time: a unit that always dies there would never fail."""
    for _ in range(3):
        unfinished_place(folder.attempts.begin("a") / "checkpoint").touch()
    assert folder.attempts.with_progress("a", 3) == 0


def test_who_is_interrupted_while_it_removes_leaves_nothing_behind_a_gap(folder, monkeypatch):
    for step in range(3):
        checkpoint_of(folder.attempts.begin("a"), step)
    plain = shutil.rmtree

    def remove_and_end(place, **options):
        plain(place, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", remove_and_end)
        with pytest.raises(KeyboardInterrupt):
            folder.attempts.remove("a")
    folder.attempts.remove("a")
    assert not list(folder.attempts.folder.iterdir())

"""A worker that is stopped past its lease and goes on, or is asked to end: what it leaves."""

import pytest

from tests.jobs.sums import Sums, report_of, runs_of
from torchcross.jobs import JobFolder, Outcome, UnitReport
from torchcross.jobs.claims import Claims


def report_of_a_late_worker(tmp_path, while_it_is_stopped, delay=0.01):
    """What becomes of a unit whose worker is stopped before it writes the first step."""

    class Stopped(Sums):
        def run(self, key, folder):
            while_it_is_stopped(JobFolder(tmp_path))
            super().run(key, folder)

    job = Stopped(str(tmp_path), delay=delay)
    JobFolder(tmp_path).open(job.fingerprint())
    return report_of(tmp_path, job)


def test_a_late_worker_leaves_the_attempt_of_the_new_one(tmp_path):
    def begin_anew(folder):
        assert folder.claims.create("square1", 1)
        folder.attempts.begin("square1")

    report = report_of_a_late_worker(tmp_path, begin_anew)
    assert (report.outcome, report.failure) == (Outcome.DONE, None)
    assert (tmp_path / "jobs/attempts/square1.2").is_dir()


def publish_and_remove(folder):
    """What a late owner does with a unit that another one makes by now."""
    job, attempt = Sums(str(folder.path)), folder.attempts.begin("square1")
    job.run("square1", attempt)
    folder.publish(job.units()[1], attempt)
    folder.attempts.remove("square1")


@pytest.mark.parametrize("delay", [0.01, 0.0], ids=["it writes a step", "it writes the result"])
def test_an_attempt_that_a_late_worker_removed_is_no_failure(tmp_path, delay):
    """The unit is done: whoever misses its own folder says that, and not that it cannot write."""
    report = report_of_a_late_worker(tmp_path, publish_and_remove, delay)
    assert (report.outcome, report.failure) == (Outcome.DONE, None)
    assert not (tmp_path / "jobs/failures/square1.json").exists()


def test_a_late_worker_that_made_the_folder_anew_is_no_failure(tmp_path):
    """A file of an earlier step is gone, though the folder is there again."""

    def publish_and_break(folder):
        publish_and_remove(folder)
        (tmp_path / "jobs/attempts/square1.1/sub").mkdir(parents=True)
        raise FileNotFoundError("steps")

    report = report_of_a_late_worker(tmp_path, publish_and_break)
    assert (report.outcome, report.failure) == (Outcome.DONE, None)
    assert not (tmp_path / "jobs/attempts/square1.1").exists()


def test_a_late_worker_whose_successor_gave_up_leaves_nothing(tmp_path):
    """The new owner failed and let go of the claims: nobody else looks at the attempts again."""

    def take_over_and_fail(folder):
        claim = folder.claims.create("square1", 1)
        folder.attempts.begin("square1")
        claim.release()

    report = report_of_a_late_worker(tmp_path, take_over_and_fail)
    assert report.outcome is Outcome.DONE
    assert left_of(tmp_path) == []


@pytest.mark.parametrize("moment", ["publish", "remove_failure"])
def test_a_worker_that_is_asked_to_end_after_it_published_leaves_nothing(
    tmp_path, monkeypatch, moment
):
    def publish_and_end(folder, *arguments):
        original(folder, *arguments)
        raise SystemExit(143)

    original = getattr(JobFolder, moment)
    job = Sums(str(tmp_path))
    JobFolder(tmp_path).open(job.fingerprint())
    monkeypatch.setattr(JobFolder, moment, publish_and_end)
    with pytest.raises(SystemExit):
        report_of(tmp_path, job)
    assert (tmp_path / "squares/1.json").is_file()
    assert left_of(tmp_path) == []


def test_a_worker_that_is_asked_to_end_before_it_published_leaves_its_attempt(tmp_path):
    class Ended(Sums):
        def run(self, key, folder):
            (folder / "checkpoint").touch()
            raise SystemExit(143)

    job = Ended(str(tmp_path))
    JobFolder(tmp_path).open(job.fingerprint())
    with pytest.raises(SystemExit):
        report_of(tmp_path, job)
    assert [path.name for path in left_of(tmp_path)] == ["square1.1"]


def left_of(folder):
    """What claims, attempts and failures are there."""
    rooms = [folder / "jobs" / room for room in ("claims", "attempts", "failures")]
    return [path for room in rooms for path in room.iterdir()]


def test_an_attempt_that_nobody_published_and_that_is_gone_is_not_done(tmp_path):
    report = report_of_a_late_worker(tmp_path, lambda folder: folder.attempts.remove("square1"))
    assert report.outcome is Outcome.REFUSED


def test_other_bytes_than_a_late_worker_published_are_a_failure(tmp_path):
    def publish_other(folder):
        attempt = folder.attempts.begin("square1")
        (attempt / "squares").mkdir()
        (attempt / "squares/1.json").write_text("other")
        folder.publish(Sums(str(tmp_path)).units()[1], attempt)

    report = report_of_a_late_worker(tmp_path, publish_other)
    assert report.outcome is Outcome.FAILED
    assert "is there already with other content" in report.failure.reason


def test_a_failure_of_a_worker_that_lost_the_unit_is_none_of_the_unit(tmp_path):
    def take_over_and_fail(folder):
        assert folder.claims.create("square1", 1)
        raise ValueError("the new owner removed its files")

    report = report_of_a_late_worker(tmp_path, take_over_and_fail)
    assert report == UnitReport(Outcome.ELSEWHERE)
    assert not JobFolder(tmp_path).failures()


def test_a_unit_that_is_published_while_it_is_claimed_is_not_run_again(tmp_path, monkeypatch):
    def publish_and_take(claims, *arguments):
        publish_and_remove(JobFolder(tmp_path))
        return plain(claims, *arguments)

    plain = Claims.take
    job = Sums(str(tmp_path))
    JobFolder(tmp_path).open(job.fingerprint())
    monkeypatch.setattr(Claims, "take", publish_and_take)
    assert report_of(tmp_path, job) == UnitReport(Outcome.DONE)
    assert runs_of(tmp_path) == ["square1"]

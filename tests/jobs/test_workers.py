"""Workers that refuse, die or cannot write: what becomes of the unit, and of the others."""

import collections
import errno
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.jobs.sums import Sums, expected, report_of, results, runs_of
from torchcross.jobs import (
    ExecutorEngine,
    InlineEngine,
    JobEngine,
    JobFolder,
    Outcome,
    UnitFailure,
    UnitGraph,
    UnitReport,
    WorkerEnded,
    coordinator,
    job_status,
    run_job,
    units_left,
)
from torchcross.jobs.claims import Claims
from torchcross.jobs.units_left import UnitsLeft
from torchcross.jobs.work import make_unit


class Faulty(JobEngine):
    """Calls run here; of those for the units in `faults`, the first so many do something else."""

    def __init__(self, fault, **faults):
        self.fault, self.faults = fault, collections.Counter(faults)
        self.submissions = collections.Counter()

    def has_room(self, resources):
        return True

    def submit(self, call, /, job, unit, *more, resources):
        future = Future()
        self.submissions[unit.key] += 1
        try:
            if self.faults[unit.key]:
                self.faults[unit.key] -= 1
                future.set_result(self.fault(unit.key))
            else:
                future.set_result(call(job, unit, *more))
        except Exception as error:  # noqa: BLE001 - the future has it
            future.set_exception(error)
        return future

    def shutdown(self, *, cancel=False):
        pass


def refuse(key):
    return UnitReport(Outcome.REFUSED, UnitFailure.here(key, "InputError", "of another kind"))


def die(key):
    raise WorkerEnded(None)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(coordinator, "_AFTER_REFUSAL", 0.0)


@pytest.mark.parametrize("refusals", [1, 3])
def test_a_unit_that_a_worker_refuses_is_made_by_another(tmp_path, refusals):
    engine, heard = Faulty(refuse, square1=refusals), []
    result = run_job(Sums(str(tmp_path)), tmp_path, engine, notice=lambda *each: heard.append(each))
    assert result.is_complete
    of_it = [report.outcome for key, report in heard if key == "square1"]
    assert of_it == [*[Outcome.REFUSED] * refusals, Outcome.DONE]
    assert engine.submissions["square1"] == refusals + 1
    assert results(tmp_path) == expected()


def test_a_unit_that_all_workers_refuse_has_failed_and_the_others_go_on(tmp_path):
    engine = Faulty(refuse, square1=99)
    result = run_job(Sums(str(tmp_path)), tmp_path, engine)
    (failure,) = result.failures
    assert (failure.key, failure.reason) == ("square1", "of another kind")
    assert engine.submissions["square1"] == 4
    assert (result.done, result.waiting) == (6, ("sum0",))
    # It holds for the workers of this call: others may be sound.
    assert job_status(tmp_path).failures == ()


def test_on_one_machine_all_workers_are_alike(tmp_path):
    engine = Faulty(refuse, square1=99)
    engine.is_here = True
    assert len(run_job(Sums(str(tmp_path)), tmp_path, engine).failures) == 1
    assert engine.submissions["square1"] == 1


def test_who_refuses_at_once_does_not_get_the_unit_again_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(coordinator, "_AFTER_REFUSAL", 0.2)
    begin = time.monotonic()
    assert run_job(Sums(str(tmp_path)), tmp_path, Faulty(refuse, square1=2)).is_complete
    assert time.monotonic() - begin > 0.6


def test_a_worker_of_another_kind_refuses(tmp_path):
    JobFolder(tmp_path).open(Sums(str(tmp_path)).fingerprint())
    report = report_of(tmp_path, Sums(str(tmp_path), version="2"))
    assert report.outcome is Outcome.REFUSED
    assert "version is '2' here and '1' there" in report.failure.reason
    assert not list((tmp_path / "jobs" / "claims").iterdir())


def test_a_worker_that_cannot_tell_its_kind_refuses(tmp_path):
    class Unknown(Sums):
        def fingerprint(self):
            raise RuntimeError("the data are not mounted")

    JobFolder(tmp_path).open(Sums(str(tmp_path)).fingerprint())
    report = report_of(tmp_path, Unknown(str(tmp_path)))
    assert (report.outcome, report.failure.kind) == (Outcome.REFUSED, "RuntimeError")


@pytest.mark.parametrize("part", ["claims", "attempts"])
def test_a_worker_that_cannot_write_refuses(tmp_path, part):
    JobFolder(tmp_path).open(Sums(str(tmp_path)).fingerprint())
    (tmp_path / "jobs" / part).rmdir()
    (tmp_path / "jobs" / part).touch()
    report = report_of(tmp_path, Sums(str(tmp_path)))
    assert (report.outcome, report.failure.kind) == (Outcome.REFUSED, "WriteError")


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(errno.ENOSPC, Outcome.REFUSED), (errno.EROFS, Outcome.REFUSED), (errno.EIO, Outcome.FAILED)],
)
def test_a_full_disk_is_the_workers_and_not_the_units(tmp_path, number, outcome):
    class Full(Sums):
        def run(self, key, folder):
            (folder / "checkpoint").touch()
            raise OSError(number, "a reason")

    folder = JobFolder(tmp_path)
    folder.open(Sums(str(tmp_path)).fingerprint())
    assert report_of(tmp_path, Full(str(tmp_path))).outcome is outcome
    assert bool(folder.failures()) is (outcome is Outcome.FAILED)
    assert (folder.attempts.begin("square1") / "checkpoint").is_file(), "the next goes on from it"


def test_what_is_done_already_says_no_seconds(tmp_path):
    job = Sums(str(tmp_path))
    JobFolder(tmp_path).open(job.fingerprint())
    first, second = report_of(tmp_path, job), report_of(tmp_path, job)
    assert first.seconds > 0
    assert (second.outcome, second.seconds) == (Outcome.DONE, None)


# -- deaths ----------------------------------------------------------------------------------------


def leave_deaths(folder, names):
    """Attempts of which each left a file and a claim, as if it had been killed."""
    for name in names:
        claim = folder.claims.take("square1", folder.claims.holder("square1"))
        (folder.attempts.begin("square1") / name).touch()
        assert claim is not None


def test_deaths_of_attempts_that_got_further_are_not_counted(tmp_path):
    job, folder = Sums(str(tmp_path)), JobFolder(tmp_path)
    folder.open(job.fingerprint())
    leave_deaths(folder, [f"checkpoint-{step}" for step in range(6)])
    units = {unit.key: unit for unit in job.units()}
    dead = folder.claims.holder("square1")
    report = make_unit(job, units["square1"], str(tmp_path), 60.0, dead)
    assert report.outcome is Outcome.DONE


def test_three_deaths_of_attempts_that_did_not_are_enough(tmp_path):
    job, folder = Sums(str(tmp_path)), JobFolder(tmp_path)
    folder.open(job.fingerprint())
    leave_deaths(folder, ["checkpoint-1", *["checkpoint-1"] * 3])
    units = {unit.key: unit for unit in job.units()}
    dead = folder.claims.holder("square1")
    report = make_unit(job, units["square1"], str(tmp_path), 60.0, dead)
    assert report.failure.kind == "WorkerDeath"
    assert report.failure.reason.startswith("3 workers ended while they made it, and none of them")


def test_workers_that_die_before_they_claim_anything_are_not_started_for_ever(tmp_path):
    engine = Faulty(die, square1=99, square4=2)
    result = run_job(Sums(str(tmp_path)), tmp_path, engine)
    (failure,) = result.failures
    assert failure.reason.startswith("3 workers ended before they began it")
    assert engine.submissions["square1"] == 3
    assert result.done == 6


# -- the coordinator -------------------------------------------------------------------------------


def test_a_unit_that_failed_is_not_made_again_in_the_same_call(tmp_path, monkeypatch):
    """Another process began it and let it go, while it was here on the list already."""
    monkeypatch.setattr(coordinator, "_LOOK_AROUND", 0.0)
    monkeypatch.setattr(coordinator, "_LOOK_BEFORE_CALLS", 0.0)
    monkeypatch.setattr(units_left, "crc32", lambda text: 5)
    other, held = Claims(tmp_path / "jobs" / "claims"), {}

    def notice(key, report):
        if key == "square0":
            held.update(
                {key: other.take(key) for key in ("square4", "square5", "square6", "square7")}
            )
        if key == "square2":
            held.pop("square5").release()
        if key == "sum0":
            for claim in held.values():
                claim.release()

    job = Sums(str(tmp_path), numbers=9, failing=("square5",))
    result = run_job(job, tmp_path, InlineEngine(), notice=notice)
    assert [each.key for each in result.failures] == ["square5"]
    assert runs_of(tmp_path).count("square5") == 1


def test_units_that_are_done_leave_the_tables(tmp_path):
    left = UnitsLeft(UnitGraph.of(Sums("", numbers=6).units()), b"")
    assert len(left) == 8
    for number in range(6):
        left.add_if_free(f"square{number}")
        assert left.take_first() == f"square{number}"
        assert (
            left.finish(f"square{number}")
            == (("sum0",) if number == 2 else ("sum1",))[: number in (2, 5)]
        )
    assert left.in_order() == ("sum0", "sum1")
    tables = [left._units, left._needed_by, left._places, left._missing]
    assert {len(table) for table in tables} == {2}
    assert not left._ready


def test_a_failure_that_cannot_be_written_ends_no_call(tmp_path):
    """The disk of the coordinator is full; the failure is in the result."""

    def break_folder(key):
        (tmp_path / "jobs" / "failures").rmdir()
        (tmp_path / "jobs" / "failures").touch()
        raise ValueError("the engine is gone")

    result = run_job(Sums(str(tmp_path)), tmp_path, Faulty(break_folder, square1=1))
    assert [each.reason.partition(" (")[0] for each in result.failures] == [
        "ValueError: the engine is gone"
    ]
    assert result.done == 6


def test_a_status_needs_no_sound_list_of_units(tmp_path):
    """Another coordinator may have had other units in mind."""
    run_job(Sums(str(tmp_path)), tmp_path, ExecutorEngine(ThreadPoolExecutor(2), slots=2))
    place = tmp_path / "jobs" / "units.json"
    plain = json.loads(place.read_bytes())
    first = plain["units"][0]
    plain["units"] += [
        {**first, "key": "twin"},
        {**first, "key": "later", "results": ["later"], "needs": ["square0", "unknown"]},
    ]
    place.write_text(json.dumps(plain))
    status = job_status(tmp_path)
    assert (len(status.done), status.ready) == (9, ("later",))

"""When and where a run was made stands beside its results, and decides none of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.report.reading import cells_of, read_page, rows_of
from tests.report.run_folder import made_run
from torchcross.experiment import RunFolder, write_page
from torchcross.experiment.run.environment import DATE, ENVIRONMENT, keep_times, read_times
from torchcross.experiment.run.folder import PROTOCOL
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.run_files import cell_name
from torchcross.experiment.run.time_left import UnitTime

MACHINE = {"system": "Linux x86_64", "cores": 2, "threads": 1, "gpu": "none", "processor": "Fast 9"}


class OneUnit:
    """A plan whose every unit scores one cell."""

    def is_scoring(self, key):
        return True

    def cell_name_of(self, key):
        return key.removeprefix("score-")


class Context:
    def __init__(self, folder):
        self.folder = folder


def timed_run(path, **record):
    run = made_run(path)
    plain = json.loads((path / PROTOCOL).read_text(encoding="utf-8"))
    del plain["sha256"]
    write_json(path / PROTOCOL, {**plain, "targets": {"oct": {}, "derm": {}}})
    cells = {
        cell_name("scratch", 0, 5, "oct"): {"score-a": 2.5},
        cell_name("scratch", 0, 5, "derm"): {"score-b": 1.5},
        cell_name("mm-maml", 0, 5, "oct"): {"score-c": 300.0},
    }
    environment = {"machines": [MACHINE], "trainings": {}, "cells": cells}
    write_json(path / ENVIRONMENT, {**environment, **record})
    return run


def block_of(run, folder):
    page = read_page(write_page(run, times=True, out=folder).read_text(encoding="utf-8"))
    block = page.by_id("environment")
    (table,) = block.all("table")
    rows = [[cell.text for cell in cells_of(row)] for row in rows_of(table)]
    return block.text, rows


def test_a_page_says_when_and_where_and_how_long_each_row_took(tmp_path):
    dates = {"began": "2026-11-30T22:58:00Z", "ended": "2026-12-01T01:40:10Z"}
    text, rows = block_of(timed_run(tmp_path / "run", **dates), tmp_path / "page")
    assert "began on 2026-11-30 at 22:58 UTC" in text
    assert "ended on 2026-12-01 at 01:40 UTC: 2.7 h" in text
    assert "Hardware: Linux x86_64, Fast 9, 2 cores." in text
    assert "3 of 4 cells have a scoring time" in text
    assert rows == [
        ["scratch", "—", "4.0 s", "4.0 s", "0.500 s"],
        # One of its cells has no time, so the time of an episode is not known.
        ["mm-maml", "—", "5 min (300 s)", "5 min (300 s)", "—"],
    ]


def test_the_same_page_twice_and_none_of_it_unless_asked_for(tmp_path):
    run = timed_run(tmp_path / "run", began="2026-11-30T22:58:00Z", ended="2026-12-01T01:40:10Z")
    one, other = (write_page(run, times=True, out=tmp_path / name) for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    plain = write_page(run, out=tmp_path / "plain").read_bytes()
    (run / ENVIRONMENT).unlink()
    assert write_page(run, out=tmp_path / "later").read_bytes() == plain
    assert b"2026-11-30" not in plain


def test_dates_that_nobody_knows_are_not_made_up(tmp_path):
    run = timed_run(tmp_path / "run")
    assert "began on" not in block_of(run, tmp_path / "page")[0]
    write_json(run / ENVIRONMENT, {"ended": "yesterday", "cells": {"x": 1.0}})
    assert "ended on" not in block_of(run, tmp_path / "page")[0]


def test_the_first_and_the_last_unit_of_all_calls_are_kept(tmp_path):
    folder = RunFolder(made_run(tmp_path / "run"))
    start = datetime(2026, 11, 30, 12, tzinfo=UTC)
    for minutes, key in ((10, "score-a"), (50, "score-b"), (30, "score-c")):
        ended = (start + timedelta(minutes=minutes)).timestamp()
        keep_times(Context(folder), OneUnit(), {key: UnitTime(60.0, ended)})
    known = read_times(folder)
    assert (known.began, known.ended) == ("2026-11-30T12:09:00Z", "2026-11-30T12:50:00Z")
    assert datetime.strptime(known.ended, DATE) == datetime(2026, 11, 30, 12, 50)
    assert known.cell_seconds() == {"a": 60.0, "b": 60.0, "c": 60.0}
    assert len(known.machines) == 1


def test_a_run_that_an_earlier_version_began_has_no_first_date(tmp_path):
    run = timed_run(tmp_path / "run")
    ended = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
    keep_times(Context(RunFolder(run)), OneUnit(), {"score-d": UnitTime(2.0, ended)})
    known = read_times(RunFolder(run))
    assert (known.began, known.ended) == ("", "2026-11-30T12:00:00Z")
    text, _ = block_of(run, tmp_path / "page")
    assert "ended on 2026-11-30 at 12:00 UTC; when it began is not known" in text

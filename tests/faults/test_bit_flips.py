"""A sample of the flips of `make faults`: every file of a run and of a dataset is flipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.bit_flips import Flip, flips
from tests.faults.dataset_flips import FlippedDataset
from tests.faults.run_flips import FlippedRun

FLIPS = 40


@pytest.fixture(scope="module")
def run(functions_of_runs: None, tmp_path_factory: pytest.TempPathFactory) -> FlippedRun:
    return FlippedRun.prepare(tmp_path_factory.mktemp("flips") / "run")


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.long)])
def test_a_flipped_bit_in_a_run_is_noticed_and_refused_or_mended(
    run: FlippedRun, every: int
) -> None:
    chosen = list(flips(run.states, FLIPS, seed=0))
    files = {(state, name) for state, files in run.states.items() for name in files}
    assert {(flip.state, flip.name) for flip in chosen} == files
    chosen = chosen[::every]
    problems = {flip: run.problem_of(flip) for flip in chosen}
    assert {flip: problem for flip, problem in problems.items() if problem} == {}


def test_a_changed_score_without_a_hash_would_be_reported(
    run: FlippedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(name for name in run.whole if name.startswith("rows/"))
    rows = run.whole[name].rpartition(b"# sha256")[0]
    monkeypatch.setattr(
        "torchcross.records.files.split_hash_line",
        lambda path, content, advice: (content.rpartition(b"# sha256")[0], True),
    )
    digit = rows.index(b"0.75") + len("0.")
    assert "other values are read" in run.problem_of(Flip("finished", name, 8 * digit))


@pytest.mark.long
def test_a_flipped_bit_in_a_dataset_is_an_error_or_another_fingerprint(tmp_path: Path) -> None:
    dataset = FlippedDataset.prepare(tmp_path)
    chosen = list(flips(dataset.states, 5 * FLIPS, seed=0))
    problems = {flip: dataset.problem_of(flip) for flip in chosen}
    assert {flip: problem for flip, problem in problems.items() if problem} == {}

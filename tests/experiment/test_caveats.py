"""What must stand beside the numbers of a run: each sentence with its counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from torchcross.experiment import RunFolder, experiment_from_values
from torchcross.experiment.page.caveats import caveats_of, synthetic_caveats
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.run_files import cell_name
from torchcross.records import EpisodeRecord, Records

ROWS = ("scratch", "mm-maml")
OVERLAP = (
    "Episodes overlap: the 7 of a target are drawn from the same images, so that they are no"
    " independent samples."
)


def run_of(
    path: Path, done: list[tuple[str, str, int]], failures: list[tuple[str, str, int]], **more: Any
) -> RunFolder:
    """Two targets, two rows and three seeds, of which these cells are done and these failed."""
    experiment = experiment_from_values(
        {
            "algorithms": list(ROWS),
            "seeds": [0, 1, 2],
            "data": {"folder": "data", "targets": ["oct", "derm"]},
        },
        {"shots": [5], "evaluation.episodes": 7, **more},
    )
    run = RunFolder.begin(path, experiment)
    for target, row, seed in done:
        record = EpisodeRecord("run", f"{target}/t", target, row, 5, seed, 0, "auroc", 0.5)
        Records.of([record]).write(run.files.rows(cell_name(row, seed, 5, target)))
    about = {"classes left out": [], "episodes": 7}
    names = {target: {"name": f"{target}/t", **about} for target in ("oct", "derm")}
    targets = {target: {} for target in names}
    write_json(path / "protocol.json", {"targets": targets, "episodes of targets": names})
    why = {"kind": "training", "reason": "diverged"}
    failed = [
        {"target": f"{target}/t", "algorithm": row, "seed": str(seed), **why}
        for target, row, seed in failures
    ]
    write_json(path / "failures.json", {"failures": failed})
    return RunFolder(path)


ALL = [(target, row, seed) for target in ("oct", "derm") for row in ROWS for seed in range(3)]


def training(algorithm: str, unjudged: int, sources: int, left_out: int = 0) -> dict[str, Any]:
    return {
        "algorithm": algorithm,
        "sources": ["a"] * sources,
        "left_out": ["b"] * left_out,
        "unjudged": ["c"] * unjudged,
    }


def test_cells_that_are_done_failed_and_missing_are_counted_apart(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ALL[:3], ALL[3:5])
    assert caveats_of(run, {}, []) == [
        "Unfinished: 3 of 12 cells have rows, 2 failed, 7 not done yet.",
        OVERLAP,
    ]


def test_without_failures_none_is_named(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ALL[:5], [])
    assert caveats_of(run, {}, [])[0] == "Unfinished: 5 of 12 cells have rows, 7 not done yet."


def test_a_failure_that_has_its_rows_by_now_is_none(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ALL[:11], ALL[10:])
    assert caveats_of(run, {}, []) == [
        "1 of 12 cells failed: their rows are missing, and the others are compared without them.",
        OVERLAP,
    ]


def test_a_finished_run_of_disjoint_episodes_has_no_caveat(tmp_path: Path) -> None:
    assert caveats_of(run_of(tmp_path / "run", ALL, []), {}, []) == [OVERLAP]
    apart = run_of(tmp_path / "apart", ALL, [], **{"evaluation.disjoint": True})
    assert caveats_of(apart, {}, []) == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("2 of 3 datasets are made up", ["Synthetic data: 2 of 3 datasets are made up."]),
        ("0 of 3 datasets are made up", []),
        ("", []),
    ],
)
def test_synthetic_data_are_named_where_there_are_any(text: str, sentences: list[str]) -> None:
    assert synthetic_caveats({"data": {"synthetic": text}}) == sentences


def test_sources_that_validation_could_not_judge_are_counted(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ALL, [])
    trainings = [
        training("mm-maml", 0, 4),
        training("mm-maml", 2, 4, left_out=1),
        training("scratch", 1, 3),
        training("scratch", 1, 2, left_out=1),
        training("mm-pt", 0, 3),
        training("anil", 1, 3),
    ]
    assert caveats_of(run, {}, trainings)[1:] == [
        "Model selection: validation could not judge 0 to 2 of 4 to 5 sources of mm-maml (the"
        " reasons are under Provenance, trainings).",
        "Model selection: validation could not judge 1 of 3 sources of scratch, anil (the reasons"
        " are under Provenance, trainings).",
    ]


def test_the_most_important_caveat_stands_first(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ALL[:3], ALL[3:5])
    synthetic = {"data": {"synthetic": "3 of 3 datasets are made up"}}
    starts = [text.split()[0] for text in caveats_of(run, synthetic, [training("scratch", 1, 3)])]
    assert starts == ["Synthetic", "Unfinished:", "Episodes", "Model"]

"""`torchcross status` of a search's folder: how many of how many trials are done."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.cli import main
from torchcross.experiment import tune_experiment
from torchcross.experiment.tuning import scoring

SPACE = {
    "algorithms": ["scratch"],
    "data.targets": ["hole"],
    "tune": {
        "search": "grid",
        "episodes": 2,
        "queries": 1,
        "rows": {"scratch": {"evaluation.lr": [1e-3, 1e-2, 1e-1]}},
    },
}


def lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main(["status", str(folder)]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.long
def test_a_search_says_how_far_it_is(
    collection: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scored = tmp_path / "search", []
    plain = scoring._EpisodeJudge.score

    def stop_at_the_second(self: Any, *given: Any) -> Any:
        scored.append(1)
        if len(scored) == 2:
            raise KeyboardInterrupt
        return plain(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(scoring._EpisodeJudge, "score", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            tune_experiment(toy_experiment(**SPACE), folder)
    first, *others = lines(folder, capsys)
    assert first == f"{folder}: 1 of 3 trials are done"
    assert others[-1] == "nothing runs now; give the same `torchcross tune` again to go on"
    assert tune_experiment(toy_experiment(**SPACE), folder).complete
    assert lines(folder, capsys) == [
        f"{folder}: 3 of 3 trials are done",
        f"the chosen settings are in {folder / 'chosen.json'}",
    ]
    next((folder / "trials").iterdir()).unlink()
    assert lines(folder, capsys)[0] == f"{folder}: 2 of 3 trials are done"


@pytest.mark.slow
def test_a_search_that_was_killed_at_its_beginning_is_one(
    collection: Any, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "search"
    tune_experiment(toy_experiment(**SPACE), folder)
    for path in (*folder.glob("trials/*"), folder / "trials", folder / "chosen.json"):
        path.rmdir() if path.is_dir() else path.unlink()
    assert lines(folder, capsys) == [
        f"{folder}: no trial is done; give the same `torchcross tune` again to begin"
    ]


@pytest.mark.slow
def test_a_search_whose_process_has_said_no_trial_yet_is_at_work(
    collection: Any, tmp_path: Path, capsys: Any
) -> None:
    folder, seen = tmp_path / "search", list[list[str]]()

    def say(line: str) -> None:
        seen.append(lines(folder, capsys))

    tune_experiment(toy_experiment(**SPACE), folder, say=say)
    assert seen[0] == [
        f"{folder}: no trial is done; at work: 1",
        f"  torchcross tune (process {os.getpid()} on {socket.gethostname()})",
    ]


def test_another_folder_is_none(tmp_path: Path, capsys: Any) -> None:
    assert main(["status", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "is no run, search or study: it has no tuning.json, study.json, experiment.json" in said
    assert "give the folder that `torchcross run`, `tune` or `transfer run` wrote" in said

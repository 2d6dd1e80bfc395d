"""The parts of `benchmarks.pipeline.processes`: its experiment, its comparison, its memory."""

import subprocess
import sys
import tomllib

import numpy as np
import pytest

from benchmarks.pipeline.process_tree import PeakMemory, descendants, held_bytes
from benchmarks.pipeline.processes import (
    EARLIER,
    FULL,
    ONE,
    PUBLISHED,
    QUICK,
    TWO,
    Cost,
    compare_rows,
    settings_text,
    show_times,
)
from tests.experiment.conftest import Toys, toy_experiment
from torchcross.experiment import experiment_from_values, run_experiment
from torchcross.experiment.run.checks import check_experiment


@pytest.mark.parametrize("effort", [FULL, QUICK])
@pytest.mark.parametrize("adaptation", ["fine-tune", "own"])
def test_the_job_is_an_experiment_of_the_threads_that_were_asked_for(tmp_path, effort, adaptation):
    texts = [settings_text(tmp_path, adaptation, effort, way) for way in (ONE, TWO, EARLIER)]
    assert texts[0] == texts[1]
    experiments = [experiment_from_values(tomllib.loads(text)) for text in texts]
    check_experiment(experiments[0])
    assert [each.machine.threads for each in experiments] == [1, 1, 2]
    assert (experiments[0].meta.steps, experiments[0].evaluation.episodes) == (
        effort.trainings,
        effort.evaluations,
    )
    assert experiments[0].own_steps == experiments[0].meta.inner_steps == 4
    # Both processes have parts of the last cell.
    assert experiments[0].machine.unit_episodes < effort.evaluations


@pytest.mark.long
def test_rows_are_compared_by_bytes_and_by_values(tmp_path, monkeypatch):
    made = Toys()
    monkeypatch.setattr(
        "torchcross.experiment.run.targets.open_collection", lambda kind, folder, **how: made
    )
    experiment = toy_experiment(algorithms=["scratch"], shots=[1])
    one, two, other = (tmp_path / name / "run" for name in ("one", "two", "other"))
    for out in (one, two):
        run_experiment(experiment, out)
    run_experiment(toy_experiment(algorithms=["scratch"], shots=[1], seeds=[1]), other)
    same = compare_rows(two, one, two)
    assert (same.files, same.different_files, same.largest_difference) == (2, 0, 0.0)
    assert "equal bytes" in same.lines()[0]
    different = compare_rows(other, one, one)
    assert different.different_files == 4
    assert 0 < different.mean_difference <= different.largest_difference <= 1
    assert "4 DIFFER" in different.lines()[0]


def test_ratios_are_those_of_rounds(capsys):
    costs = {
        str(TWO): [Cost(8.0, 15.0, 1), Cost(80.0, 150.0, 1)],
        str(EARLIER): [Cost(10.0, 18.0, 1), Cost(160.0, 180.0, 1)],
        PUBLISHED: [Cost(16.0, 20.0, 1), Cost(100.0, 20.0, 1)],
    }
    two, earlier, published = show_times("own", QUICK, costs)
    assert two[f"x {EARLIER}"] == pytest.approx((0.8 + 0.5) / 2)
    assert two[f"x {PUBLISHED}"] == pytest.approx((0.5 + 0.8) / 2)
    assert (earlier[f"x {EARLIER}"], published[f"x {PUBLISHED}"]) == (1.0, 1.0)
    assert "x published" in capsys.readouterr().out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_of_processes_and_of_theirs_is_added_up():
    inner = "import sys; held = bytearray(60_000_000); print('held', flush=True); sys.stdin.read()"
    outer = (
        "import subprocess, sys; held = bytearray(40_000_000);"
        f"subprocess.run([sys.executable, '-c', {inner!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        family = list(descendants(process.pid))
        assert len(family) == 1
        assert 60_000_000 < held_bytes(family[0]) < 100_000_000
        with PeakMemory(process.pid) as memory:
            while not memory.peak:
                np.zeros(1)
        assert memory.peak == pytest.approx(held_bytes(family[0]), rel=0.1)
        process.stdin.close()
    assert held_bytes(family[0]) == 0
    assert list(descendants(process.pid)) == []

"""Prediction sets of a run: stored with its predictions, and a section of its page."""

import numpy as np
import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError
from torchcross.experiment import run_experiment, run_predictions, write_page
from torchcross.experiment.run.identity import identity
from torchcross.records.prediction_files import read_predictions
from torchcross.statistics import set_values

pytestmark = pytest.mark.slow


def experiment(**changes):
    rows = {"algorithms": ["ncm", "logistic"], "shots": [1, 4], "evaluation.sets": "split"}
    return toy_experiment(**{**rows, "evaluation.coverage": 0.5, **changes})


def test_sets_are_stored_and_shown(collection, tmp_path):
    outcome = run_experiment(experiment(), tmp_path / "run")
    assert outcome.complete
    has_sets = {}
    for each in run_predictions(tmp_path / "run"):
        has_sets[each.algorithm, each.shots] = each.sets is not None
        if each.sets is not None:
            assert each.sets.shape == (*each.labels.shape, len(each.task.target.values))
            again = read_predictions(each.write(tmp_path / "again.safetensors"))
            assert np.array_equal(again.sets, each.sets)
            values = set_values([each])
            truth = np.take_along_axis(each.sets, each.labels[..., None], -1)
            assert values.coverage.mean == pytest.approx(truth.mean())
            assert values.size.mean == pytest.approx(each.sets.sum(-1).mean())
            assert values.coverage.low <= values.coverage.mean <= values.coverage.high
    assert has_sets == {
        ("ncm", 1): False,
        ("ncm", 4): False,
        ("logistic", 1): False,
        ("logistic", 4): True,
    }
    page = write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "Coverage and size of prediction sets at 50%" in page
    assert "prediction_sets needs two samples of each class" in page
    for each in run_predictions(tmp_path / "run", algorithm="logistic", shots=1):
        assert each.sets_absent.startswith("episode 0: ")
    rows = [row for row in outcome.records if row.algorithm == "logistic"]
    plain = run_experiment(experiment(**{"evaluation.sets": "none"}), tmp_path / "none")
    assert [row.value for row in plain.records if row.algorithm == "logistic"] == [
        row.value for row in rows
    ]
    assert "Prediction sets" not in write_page(tmp_path / "none").read_text(encoding="utf-8")


def test_parts_of_a_cell_have_the_same_sets(collection, tmp_path):
    rows = {"algorithms": ["logistic"], "shots": [4], "evaluation.sets": "leave-one-out"}
    whole, parts = (
        list(run_predictions(run_experiment(made, tmp_path / name).folder.path))
        for name, made in (
            ("whole", experiment(**rows)),
            ("parts", experiment(**rows, **{"machine.unit_episodes": 2})),
        )
    )
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one.sets, other.sets)


def test_sets_are_part_of_an_experiment():
    names = [{"evaluation.sets": name} for name in ("none", "split", "leave-one-out")]
    assert len({identity(experiment(**changes)) for changes in names}) == 3


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0])
def test_a_coverage_is_a_share(collection, tmp_path, coverage):
    with pytest.raises(InputError, match=r"evaluation\.coverage"):
        run_experiment(experiment(**{"evaluation.coverage": coverage}), tmp_path / "run")


def test_the_page_of_a_run_without_predictions_says_so_of_sets(collection, tmp_path):
    changes = {"algorithms": ["logistic"], "shots": [4], "evaluation.predictions": 0}
    run_experiment(experiment(**changes), tmp_path / "run")
    page = write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "No prediction sets: they are stored with predictions of single images, and none" in page

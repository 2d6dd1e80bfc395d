"""The section `fine_tuning`, and the rows that are fine-tuned in a way of their own."""

import math

import pytest

from tests.experiment.conftest import toy_experiment
from tests.experiment.rows import saved
from torchcross import algorithms
from torchcross.backbones import conv4
from torchcross.errors import InputError
from torchcross.experiment import METHODS, run_experiment
from torchcross.experiment.rows.adaptation import adapter, inner_steps
from torchcross.experiment.rows.disputed_choices import choices
from torchcross.experiment.rows.row_reads import reads_setting
from torchcross.experiment.rows.tuning_words import marked_rows
from torchcross.experiment.run.checks import settings_without_effect
from torchcross.experiment.run.identity import decisive_settings, identity
from torchcross.experiment.run.training import settings_of_training
from torchcross.experiment.settings.row_settings import experiment_of_row, names_by_row


def tuner(name="scratch", **changes):
    experiment = experiment_of_row(toy_experiment(algorithms=[name], **changes), name)
    return adapter(METHODS[name], conv4(4, in_channels=1), experiment)


def test_every_setting_reaches_the_algorithm():
    section = {
        "head": "logistic", "backbone_lr": 1e-4, "layer_decay": 0.5, "optimiser": "adamw",
        "weight_decay": 0.05, "schedule": "cosine", "warmup": 1, "batch": 8, "augment": True,
    }  # fmt: skip
    how = tuner(**{"evaluation.lr": 0.01, "evaluation.steps": 4}, fine_tuning=section)
    said = how.protocol()
    expected = {**section, "lr": 0.01, "augmentation": said["augmentation"]}
    del expected["augment"]
    assert {name: said[name] for name in expected} == expected
    assert said["augmentation"]["crop"] == 200 / 224
    assert how.recipe.small_supports == "whole"


def test_left_out_it_is_the_published_fine_tuning():
    new = tuner().protocol()
    plain = algorithms.FineTune(conv4(4, in_channels=1), norm="running").protocol()
    assert new.keys() == plain.keys()
    changed = {name for name, value in new.items() if plain[name] != value}
    assert changed <= {"steps", "lr", "pixels"}
    experiment = toy_experiment()
    assert "fine_tuning" not in decisive_settings(experiment)
    assert identity(toy_experiment(fine_tuning={"grid": []})) == identity(experiment)
    assert identity(toy_experiment(**{"fine_tuning.batch": 1})) != identity(experiment)
    assert not any("fine_tuning" in text for text in settings_without_effect(experiment))


def test_settings_of_fine_tuning_share_a_training():
    own = {"meta.lr": 1.0, "evaluation.lr": 1.0, "fine_tuning.batch": 8}
    assert settings_of_training(own) == {"meta.lr": 1.0}
    assert {"fine_tuning.grid", "fine_tuning.head"} <= set(names_by_row())


def test_the_row_of_the_grid_has_nine_members_and_one_of_its_own():
    how = tuner("fine-tuned-grid", **{"evaluation.lr": 0.01, "fine_tuning.backbone_lr": 0.002})
    assert how.protocol()["members"] == 9
    assert how.protocol()["lr"] == pytest.approx([0.001, 0.01, 0.1])
    assert how.protocol()["backbone_lr"] == pytest.approx([0.0002, 0.002, 0.02])
    assert tuner("fine-tuned-grid", **{"fine_tuning.grid": [1, 2]}).protocol()["members"] == 4
    assert tuner("scratch", **{"fine_tuning.grid": [1, 2]}).protocol()["members"] == 4


@pytest.mark.parametrize("adaptation", ["fine-tune", "own"])
def test_pmf_is_fine_tuned_from_prototypes(adaptation):
    changes = {"evaluation.adaptation": adaptation, "fine_tuning.head": "zero"}
    how = tuner("pmf", **changes)
    assert (type(how), how.recipe.head) == (algorithms.FineTune, "proto")
    experiment = toy_experiment(algorithms=["pmf"], **changes)
    assert inner_steps(METHODS["pmf"], how, experiment) is None
    assert not reads_setting(METHODS["pmf"], "fine_tuning.head", experiment)
    assert reads_setting(METHODS["pmf"], "fine_tuning.batch", experiment)
    assert reads_setting(METHODS["pmf"], "evaluation.lr", experiment)


@pytest.mark.long
def test_a_run_with_all_of_it(collection, tmp_path):
    weights = saved(conv4(4, in_channels=1, seed=3), tmp_path)
    experiment = toy_experiment(
        algorithms=["pmf", "fine-tuned-grid", "scratch", "ncm"],
        fine_tuning={"batch": 5, "layer_decay": 0.5, "optimiser": "adamw", "grid": [0.5, 2.0]},
        **{"model.weights": weights, "model.normalisation": "none"},
        rows={"scratch": {"fine_tuning.grid": [], "fine_tuning.head": "logistic"}},
    )
    outcome = run_experiment(experiment, tmp_path / "run")
    assert outcome.complete
    records = outcome.folder.records()
    assert {record.algorithm for record in records} == set(experiment.algorithms)
    assert all(math.isfinite(record.value) for record in records if record.metric == "auroc")


def test_the_page_says_how():
    usual = choices(toy_experiment())["adaptation"]
    assert "as published" in usual
    assert "fine_tuning" not in usual
    rows = ["scratch", "fine-tuned-grid", "pmf"]
    changes = {"fine_tuning.batch": 8, "model.weights": "somewhere", "evaluation.lr": 0.01}
    words = choices(toy_experiment(algorithms=rows, **changes))["adaptation"]
    assert "Fine-tuning is not as published in `batch` = 8" in words
    assert "fine-tuned-grid: 9 networks" in words
    assert "times 0.1, 1, 10" in words
    assert "pmf: always fine-tuned" in words
    without_effect = settings_without_effect(toy_experiment(algorithms=["ncm"], **changes))
    assert any("fine_tuning.batch" in text for text in without_effect)


def test_settings_chosen_on_target_queries_are_marked():
    about = {
        "search": "random", "trials": 2, "seed": 0, "score": "target-queries", "episodes": 2,
        "queries": 5, "shots": [1], "training seed": 0, "not searched": [], "results": {},
        "space": {"scratch": {"fine_tuning.layer_decay": [0.5, 1.0]}}, "scored on": {},
        "sources": {}, "differs": [],
    }  # fmt: skip
    chosen = {"hole": {"scratch": {"fine_tuning.layer_decay": 0.5}}}
    experiment = toy_experiment(tuned={"about": about, "targets": chosen})
    assert marked_rows(experiment.tuned) == {"scratch": "scratch (saw the test)"}
    assert "have seen the test" in choices(experiment)["tuning"]
    assert "Single rows have values of their own" in choices(experiment)["adaptation"]
    own = experiment_of_row(experiment, "scratch", "hole")
    assert own.fine_tuning.layer_decay == 0.5


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"layer_decay": 1.5}, "at most 1"),
        ({"layer_decay": 0.0}, "above 0"),
        ({"grid": [1, 1]}, "names a factor twice"),
        ({"grid": [0]}, "above 0"),
        ({"backbone_lr": -1}, "from 0"),
        ({"head": "ridge"}, "one of 'kaiming'"),
        ({"warmup": 50}, "leaves none of evaluation.steps"),
        ({"epochs": 3}, "fine_tuning.epochs"),
    ],
)
def test_bad_settings_are_refused(values, match):
    with pytest.raises(InputError, match=match):
        toy_experiment(fine_tuning=values)

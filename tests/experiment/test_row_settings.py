"""Settings that single rows have of their own: read in two forms, and used by them alone."""

import json
from dataclasses import replace

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError
from torchcross.experiment import experiment_from_values, run_experiment
from torchcross.experiment.rows.disputed_choices import choices
from torchcross.experiment.run.checks import check_experiment, settings_without_effect
from torchcross.experiment.run.identity import decisive_settings, identity
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.row_settings import experiment_of_row

NESTED = {"mm-maml": {"meta": {"lr": 1, "inner_lr": 0.05}, "evaluation": {"lr": 0.1}}}
DOTTED = {"mm-maml": {"meta.lr": 1.0, "meta.inner_lr": 0.05, "evaluation.lr": 0.1}}


def with_rows(rows, **changes):
    return toy_experiment(algorithms=["scratch", "mm-maml"], rows=rows, **changes)


def test_tables_and_dotted_names_are_the_same_settings():
    assert with_rows(NESTED) == with_rows(DOTTED)
    assert dict(with_rows(NESTED).rows) == DOTTED
    flag = toy_experiment(**{"rows.mm-maml.meta.lr": 1, "rows.scratch.evaluation.steps": 3})
    assert flag.rows == {"mm-maml": {"meta.lr": 1.0}, "scratch": {"evaluation.steps": 3}}
    assert experiment_from_values(as_plain(flag)) == flag


def test_a_flag_replaces_one_setting_of_a_row():
    file = {"data": {"folder": "x"}, "rows": NESTED}
    changed = experiment_from_values(file, {"rows.mm-maml.meta.lr": 0.5})
    assert changed.rows["mm-maml"] == {**DOTTED["mm-maml"], "meta.lr": 0.5}


def test_only_the_row_itself_has_them():
    whole = with_rows(DOTTED)
    own = experiment_of_row(whole, "mm-maml")
    assert (own.meta.lr, own.meta.inner_lr, own.evaluation.lr) == (1.0, 0.05, 0.1)
    assert own.meta.inner_steps == whole.meta.inner_steps
    assert experiment_of_row(whole, "scratch") is whole
    chosen = {"targets": {"hole": {"mm-maml": {"meta.lr": 0.25}}}}
    tuned = replace(with_rows(DOTTED), tuned=chosen)
    assert experiment_of_row(tuned, "mm-maml", "hole").meta.lr == 0.25
    assert experiment_of_row(tuned, "mm-maml", "hole").meta.inner_lr == 0.05
    assert experiment_of_row(tuned, "mm-maml", "specks").meta.lr == 1.0


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (3, "rows is 3; give a table"),
        ({"mm-maml": 3}, "rows.mm-maml is 3; give a table of settings"),
        ({"mm-maml": {"meta.lrr": 1}}, "did you mean 'meta.lr'"),
        ({"mm-maml": {"meta.lr": 0}}, "rows.mm-maml.meta.lr is 0.0; give a number above 0"),
        ({"mm-maml": {"meta.steps": 1.5}}, "give a whole number"),
        ({"mm-maml": {"evaluation.episodes": 3}}, "is the same for every row of a table"),
        ({"mm-maml": {"data.channels": 3}}, "is the same for every row of a table"),
        ({"mm-maml": {"shots": [3]}}, "is the same for every row of a table"),
        ({"mm-maml": {"meta.warmup": 9}}, "rows.mm-maml: meta: warmup=9 leaves none of steps=3"),
    ],
)
def test_refused(rows, match):
    with pytest.raises(InputError, match=match):
        with_rows(rows)


def test_rows_that_do_not_exist_are_refused_and_absent_ones_are_named():
    with pytest.raises(InputError, match="did you mean 'mm-maml'"):
        check_experiment(with_rows({"mm-mml": {"meta.lr": 1}}))
    rows = {"protonet": {"meta.lr": 1}, "scratch": {"meta.lr": 1, "evaluation.lr": 1}}
    said = settings_without_effect(with_rows(rows))
    assert any("rows.protonet: no effect on any row" in line for line in said)
    assert "rows.scratch.meta.lr: no effect on scratch" in said


def test_they_decide_rows_and_nothing_is_decided_without_them():
    assert identity(with_rows(DOTTED)) != identity(with_rows({}))
    assert identity(with_rows(NESTED)) == identity(with_rows(DOTTED))
    assert not {"rows", "tuned", "tune"} & decisive_settings(with_rows({})).keys()
    changed = {"tune.trials": 3, "tune.space": {"meta.lr": [1]}}
    assert identity(with_rows({}, **changed)) == identity(with_rows({}))


def test_the_page_says_them():
    said = choices(with_rows(DOTTED))["settings of single rows"]
    assert "mm-maml: `evaluation.lr` = 0.1, `meta.inner_lr` = 0.05, `meta.lr` = 1.0" in said
    assert "settings of single rows" not in choices(with_rows({}))
    assert "Single rows have values of their own" in choices(with_rows(DOTTED))["adaptation"]
    assert "Single rows have values of their own" not in choices(with_rows({}))["adaptation"]
    norms = choices(with_rows({"scratch": {"evaluation.norm": "batch"}}))
    assert "`batch` (scratch)" in norms["BatchNorm on the query, where the network has any"]


@pytest.mark.long
def test_rows_train_and_adapt_by_their_own_settings(collection, tmp_path):
    changes = {"algorithms": ["scratch", "protonet"], "data.targets": ["hole"]}
    plain = run_experiment(toy_experiment(**changes), tmp_path / "a" / "run").records
    own = {"scratch": {"evaluation.lr": 0.5}, "protonet": {"meta.steps": 2}}
    outcome = run_experiment(toy_experiment(**changes, rows=own), tmp_path / "b" / "run")
    assert outcome.records.where(algorithm="scratch") != plain.where(algorithm="scratch")
    (summary,) = (tmp_path / "b" / "run" / "train").glob("*/training.json")
    assert json.loads(summary.read_text())["steps"] == 2
    again = toy_experiment(**changes, rows={**own, "protonet": {"meta.steps": 3}})
    with pytest.raises(
        InputError, match=r"protonet\.meta\.steps: the run has 2, and these settings 3"
    ):
        run_experiment(again, tmp_path / "b" / "run")

"""Spaces and trials of a search: pure, distinct, of one budget; the rest is refused by name."""

import math
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError
from torchcross.experiment import experiment_from_values
from torchcross.experiment.tuning.space import Range, Values, choice_of
from torchcross.experiment.tuning.trials import experiment_of_trial, tuning_plan

LOG = {"from": 1e-4, "to": 1e-1, "scale": "log"}
ROWS = ["scratch", "mm-pt", "protonet", "ncm"]


def searched(algorithms=ROWS, **tune):
    return toy_experiment(algorithms=algorithms, tune=tune)


def plan(**tune):
    return tuning_plan(searched(**tune))


# -- values ----------------------------------------------------------------------------------------


@max_examples(60)
@given(
    low=st.floats(1e-6, 1e3),
    ratio=st.floats(1.001, 1e6),
    is_log=st.booleans(),
    share=st.floats(0, 1, exclude_max=True),
)
def test_a_range_gives_numbers_in_it_that_are_short(low, ratio, is_log, share):
    value = Range(low, low * ratio, is_log=is_log).at(share)
    assert low <= value <= low * ratio
    assert value in (low, low * ratio) or value == float(f"{value:.4g}")


@max_examples(60)
@given(
    low=st.integers(1, 50),
    more=st.integers(1, 50),
    is_log=st.booleans(),
    share=st.floats(0, 1, exclude_max=True),
)
def test_whole_numbers_stay_whole_and_both_ends_come(low, more, is_log, share):
    whole = Range(low, low + more, is_log=is_log, is_whole=True)
    assert type(whole.at(share)) is int
    assert low <= whole.at(share) <= low + more
    assert (whole.at(0.0), whole.at(math.nextafter(1.0, 0.0))) == (low, low + more)
    assert whole.count == more + 1


def test_a_log_scale_gives_every_decade_the_same_share():
    values = [trial["evaluation.lr"] for trial in _draws(LOG, 300)]
    assert sum(value < 1e-3 for value in values) == pytest.approx(100, abs=25)
    linear = [trial["evaluation.lr"] for trial in _draws({**LOG, "scale": "linear"}, 300)]
    assert sum(value < 1e-3 for value in linear) < 15


def _draws(choices, trials):
    chosen = {"space": {"evaluation.lr": choices}, "trials": trials}
    return plan(algorithms=["scratch"], **chosen).searches[0].trials


def test_points_of_a_range_have_both_ends_and_equal_steps():
    points = choice_of("meta.lr", {**LOG, "points": 4}, "here")
    assert points == Values((1e-4, 1e-3, 1e-2, 1e-1))
    assert choice_of("meta.steps", {"from": 1, "to": 9, "points": 5}, "here") == Values(
        (1, 3, 5, 7, 9)
    )


# -- trials ----------------------------------------------------------------------------------------


@max_examples(25)
@given(seed=st.integers(0, 1000), trials=st.integers(1, 12))
def test_random_trials_are_distinct_and_a_function_of_the_seed(seed, trials):
    space = {"evaluation.lr": LOG, "evaluation.steps": [1, 2, 3]}
    chosen = plan(seed=seed, trials=trials, space=space)
    assert chosen == plan(seed=seed, trials=trials, space=space)
    assert [search.row for search in chosen.searches] == ["scratch", "mm-pt", "protonet"]
    assert chosen.untuned == ("ncm",)
    for search in chosen.searches:
        assert len(search.trials) == trials
        assert all(search.trials.count(trial) == 1 for trial in search.trials)
        assert search.trials == chosen.searches[0].trials, "equal spaces have equal trials"
    more = plan(seed=seed, trials=trials + 1, space=space)
    assert more.searches[0].trials[:trials] == chosen.searches[0].trials


def test_another_seed_draws_others_and_another_setting_changes_no_draw():
    space = {"evaluation.lr": LOG}
    first = plan(space=space).searches[0].trials
    assert len(first) == 16
    assert plan(space=space, seed=1).searches[0].trials != first
    both = plan(space={**space, "evaluation.norm": ["running", "frozen"]}).searches[0].trials
    assert [trial["evaluation.lr"] for trial in both] == [trial["evaluation.lr"] for trial in first]


def test_a_random_search_may_take_all_of_a_finite_space():
    space = {"evaluation.steps": [1, 2, 3], "evaluation.norm": ["running", "frozen"]}
    (search,) = plan(algorithms=["scratch"], space=space, trials=6).searches
    assert len({tuple(trial.items()) for trial in search.trials}) == 6


def test_a_grid_is_every_combination():
    space = {"evaluation.steps": [1, 2], "evaluation.lr": {"from": 1, "to": 3, "points": 3}}
    (search,) = plan(algorithms=["scratch"], search="grid", space=space).searches
    assert [tuple(trial.values()) for trial in search.trials] == [
        (rate, steps) for rate in (1.0, 2.0, 3.0) for steps in (1, 2)
    ]


def test_a_row_has_the_common_space_that_it_reads_and_its_own():
    rows = {"mm-pt": {"pretraining.lr": [0.1, 0.2, 0.3]}, "protonet": {"evaluation.lr": [1, 2, 3]}}
    space = {"evaluation.lr": LOG, "meta.lr": LOG}
    chosen = plan(space=space, rows=rows, trials=3)
    names = {search.row: set(search.space) for search in chosen.searches}
    assert names == {
        "scratch": {"evaluation.lr"},
        "mm-pt": {"evaluation.lr", "pretraining.lr"},
        "protonet": {"evaluation.lr", "meta.lr"},
    }
    assert chosen.search_of("protonet").space["evaluation.lr"] == Values((1.0, 2.0, 3.0))


def test_a_trial_is_the_experiment_with_its_values():
    experiment = searched(space={"evaluation.lr": [0.5, 0.6]}, trials=2)
    trial = experiment_of_trial(experiment, "scratch", {"evaluation.lr": 0.5})
    assert trial.evaluation.lr == 0.5
    assert trial.meta == experiment.meta


@pytest.mark.parametrize(
    ("tune", "match"),
    [
        ({}, r"nothing to search; give a space, such as \[tune.space\]"),
        ({"space": {"evaluation.lrr": [1]}}, "did you mean 'evaluation.lr'"),
        ({"space": {"evaluation.episodes": [1]}}, "is the same for every row of a table"),
        ({"space": {"evaluation.adaptation": ["own"]}}, "is the same for every row"),
        ({"space": {"model.weights": [""]}}, "is the same for every row of a table"),
        ({"space": {"meta.checkpoint_every": [1]}}, "makes no other numbers"),
        ({"space": {"evaluation.lr": []}}, r"tune.space.evaluation.lr is an empty list"),
        ({"space": {"evaluation.lr": 0.1}}, r"evaluation.lr is 0.1; give a list of values"),
        ({"space": {"evaluation.lr": [0.1, 0.1]}}, "names 0.1 twice"),
        ({"space": {"evaluation.lr": [0.1, 0]}}, r"lr\[1\] is 0.0; give a number above 0"),
        ({"space": {"evaluation.lr": ["fast"]}}, r"lr\[0\] is 'fast'; give a number"),
        ({"space": {"evaluation.lr": {"from": 1, "too": 2}}}, "did you mean 'to'"),
        ({"space": {"evaluation.lr": {"from": 1}}}, "is a range without 'to'"),
        ({"space": {"evaluation.lr": {"from": 2, "to": 1}}}, "it ends above its beginning"),
        ({"space": {"evaluation.lr": {"from": 1, "to": 1}}}, "it ends above its beginning"),
        ({"space": {"evaluation.lr": {**LOG, "scale": "ln"}}}, "give one of linear, log"),
        ({"space": {"evaluation.norm": {"from": "a", "to": "b"}}}, "give one of"),
        ({"space": {"pretraining.augment": {"from": False, "to": True}}}, "is no number"),
        ({"space": {"meta.warmup": {"from": 0, "to": 2, "scale": "log"}}}, "has no 0"),
        ({"space": {"evaluation.lr": {**LOG, "points": 1}}}, "give a whole number from 2"),
        ({"space": {"meta.steps": {"from": 1, "to": 3, "points": 5}}}, "give fewer points"),
        ({"space": {"evaluation.lr": [1, 2]}}, r"tune.trials=16, .* has 2 different trials"),
        ({"space": {"meta.warmup": [1, 5]}, "trials": 2}, r"trial . of protonet.*leaves none"),
        ({"space": {"evaluation.inner_steps": [1]}, "trials": 1}, "no effect on any row"),
        ({"rows": {"scratch": {"meta.lr": [1]}}}, "has no effect on scratch"),
        ({"rows": {"mm-maml": {"meta.lr": [1]}}}, "no row of this table is called 'mm-maml'"),
        ({"rows": {"scratch": [1]}}, r"tune.rows.scratch is \[1\]; give a table"),
        ({"search": "grid", "space": {"evaluation.lr": LOG}}, "a grid has values; give the range"),
        (
            {"search": "grid", "space": {"evaluation.lr": [1, 2], "meta.lr": [1, 2]}},
            r"the grids of the rows differ in size \(scratch: 2, mm-pt: 2, protonet: 4\)",
        ),
        (
            {"search": "grid", "space": {"evaluation.lr": [1, 2]}, "trials": 3},
            "a grid search tries all 2 combinations",
        ),
    ],
)
def test_refused_by_name(tune, match):
    with pytest.raises(InputError, match=match):
        plan(**tune)


@pytest.mark.parametrize(
    ("tune", "match"),
    [
        ({"search": "bayes"}, "give one of 'random', 'grid'"),
        ({"score": "test"}, "give one of 'source-validation', 'target-queries'"),
        ({"spaces": {}}, "did you mean 'tune.space'"),
        ({"space": 3}, "give a table"),
        ({"trials": -1}, "give a number from 0"),
    ],
)
def test_settings_of_a_search_are_checked_when_they_are_read(tune, match):
    with pytest.raises(InputError, match=match):
        searched(**tune)


def test_the_search_of_the_documentation_is_one():
    page = Path(__file__).parents[2] / "docs" / "tuning.md"
    (block,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    chosen = tuning_plan(experiment_from_values(tomllib.loads(block)))
    assert chosen.trials == 16
    assert len(chosen.searches) == 4


def test_names_may_be_tables():
    nested = {"evaluation": {"lr": LOG, "steps": [1, 2]}}
    dotted = {"evaluation.lr": LOG, "evaluation.steps": [1, 2]}
    assert searched(space=nested) == searched(space=dotted)
    own = searched(rows={"mm-pt": {"pretraining": {"lr": [1, 2]}}}).tune.rows
    assert own == {"mm-pt": {"pretraining.lr": [1, 2]}}

"""What a sampler may be asked for, and what it says where it may not."""

from __future__ import annotations

import sys
import warnings
from pickle import dumps, loads

import numpy as np
import pytest

import torchcross as tx
from tests.data.sampler_kinds import SAMPLERS, multiclass_source
from torchcross.data import MetaDatasetShots, Request
from torchcross.errors import InputError, SubjectLeakWarning
from torchcross.plan import PlanBatch
from torchcross.testing import check_sampler


def test_a_sampler_without_an_end_has_no_length():
    with pytest.raises(TypeError, match="no length"):
        len(SAMPLERS["fixed"]())
    assert len(SAMPLERS["disjoint"]()) == 6
    assert len(list(SAMPLERS["disjoint"]())) == 6
    assert list(SAMPLERS["fixed"]().batch([])) == []


def test_seeds_and_requests_and_names_give_episodes_of_their_own():
    base = {"ways": 3, "shots": 2, "queries": 4}
    changes = [
        {},
        {"seed": 1},
        {"shots": 3},
        {"queries": 5},
        {"ways": (3, 3)},
        {"min_samples": 3},
        {"minimal": False},
    ]
    drawn = [tx.EpisodeSampler(multiclass_source(), **base | change)[0] for change in changes]
    drawn.append(tx.EpisodeSampler(multiclass_source(name="other"), **base)[0])
    assert len({tuple(plan.support[:6].tolist()) for plan in drawn}) == len(drawn)


def test_numbers_may_be_numpys():
    plain = tx.EpisodeSampler(
        multiclass_source(), ways=(2, 3), shots=2, queries=4, seed=5, min_samples=7
    )
    theirs = tx.EpisodeSampler(
        multiclass_source(),
        ways=(np.int64(2), np.int32(3)),
        shots=np.int64(2),
        queries=np.uint8(4),
        seed=np.int16(5),
        min_samples=np.int64(7),
    )
    assert theirs.request == plain.request
    assert theirs.batch(range(5)) == plain.batch(range(5))
    assert MetaDatasetShots(np.int64(5), np.int64(6)) == MetaDatasetShots(5, 6)
    assert tx.EpisodeSampler(multiclass_source(), shots=MetaDatasetShots(np.int64(50)))[0].ways == 4


def test_pairs_may_be_lists():
    """As JSON and TOML give them."""
    pairs = tx.EpisodeSampler(multiclass_source(), ways=(2, None), shots=(1, 3), queries=4)
    lists = tx.EpisodeSampler(multiclass_source(), ways=[2, None], shots=[1, 3], queries=4)
    assert lists.request == pairs.request
    assert lists.batch(range(5)) == pairs.batch(range(5))


@pytest.mark.parametrize("seed", [0, 2**63, 2**64, 2**128, np.uint64(2**64 - 1)])
def test_any_seed_up_to_the_largest_draws_and_stays(seed):
    sampler = tx.EpisodeSampler(multiclass_source(), shots=2, queries=4, seed=seed)
    assert sampler.seed == int(seed)
    assert (
        sampler[0] == tx.EpisodeSampler(multiclass_source(), shots=2, queries=4, seed=int(seed))[0]
    )
    with pytest.raises(AttributeError):
        sampler.seed = 99


# -- words to the user -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ways": 0}, "ways=0"),
        ({"ways": 2.0}, "ways=2.0"),
        (
            {"ways": "all"},
            r"ways='all' is not an integer of at least 1, a pair \(fewest, most or None\), or None",
        ),
        ({"ways": [2, 3, 4]}, r"ways=\[2, 3, 4\] is not a pair"),
        (
            {"shots": "few"},
            (
                r"shots='few' is not an integer of at least 1, a pair \(fewest, most\), or"
                r" MetaDatasetShots"
            ),
        ),
        ({"shots": [3, 1]}, "the most is below the fewest"),
        ({"ways": (2, 3, 4)}, "not a pair"),
        ({"ways": (3, 2)}, "the most is below the fewest"),
        ({"ways": (None, 3)}, r"ways\[0\]=None"),
        ({"shots": 0}, "shots=0"),
        ({"shots": True}, "shots=True"),
        ({"shots": None}, "shots=None"),
        ({"shots": (2, 1)}, "the most is below the fewest"),
        ({"shots": (2,)}, "not a pair"),
        ({"queries": 0}, "queries=0"),
        ({"queries": (1, 2)}, "queries="),
        ({"seed": -1}, "seed=-1"),
        ({"seed": "a"}, "seed='a'"),
        ({"seed": True}, "seed=True"),
        ({"seed": 2**128 + 1}, r"not an integer from 0 to 2\*\*128"),
        (
            {"seed": 10**5000},
            r"seed=<an integer of 16610 bits> is not an integer from 0 to 2\*\*128",
        ),
        ({"ways": -(10**5000)}, "ways=<an integer of 16610 bits>"),
        ({"query": "any"}, "query='any' is not one of 'balanced', 'natural'"),
        ({"groups": "drop"}, "groups='drop'"),
        ({"minimal": 1}, "minimal=1"),
        ({"min_samples": 0}, "min_samples=0"),
        (
            {"min_samples": "Enough"},
            "min_samples='Enough' is not an integer of at least 1, 'enough' .*, or None",
        ),
        ({"disjoint": 0}, "disjoint=0"),
        ({"weights": "most"}, "weights='most'"),
        ({"weights": None}, "weights=None"),
        ({"weights": [1, 2]}, "one weight for each of 1 source"),
        ({"weights": ["a"]}, "the weight 'a'"),
        ({"weights": [-1]}, "the weight -1"),
        ({"weights": [float("nan")]}, "the weight nan"),
        ({"weights": [0]}, "every source the weight 0"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        tx.EpisodeSampler(multiclass_source(), **wrong)


@pytest.mark.parametrize("source", [None, [], "toy", [1], np.arange(3)])
def test_a_sampler_needs_sources(source):
    with pytest.raises(InputError, match="expected a TaskSource"):
        tx.EpisodeSampler(source)


def test_names_of_sources_differ():
    with pytest.raises(InputError, match=r"several sources are named \['toy'\]"):
        tx.EpisodeSampler([multiclass_source(), multiclass_source()])


def test_a_sampler_knows_its_sources():
    sampler = SAMPLERS["mixture"]()
    assert sampler.source("other").name == "other"
    with pytest.raises(InputError, match="no source 'else'"):
        sampler.source("else")


def test_ignoring_subjects_is_said_once_and_can_be_counted():
    source = multiclass_source(groups=np.arange(120) % 4)
    with pytest.warns(SubjectLeakWarning, match="groups='ignore'") as caught:
        sampler = tx.EpisodeSampler(source, shots=2, queries=4, groups="ignore")
    # mutmut puts a frame of its own between a call and the code it mutates.
    if "mutmut" not in sys.modules:
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sampler(sampler)
        sampler.curve([1, 2])
        tx.EpisodeSampler(multiclass_source(), groups="ignore")
    plan = sampler[0]
    assert sampler.shared_subjects(plan) == len(set(plan.support % 4) & set(plan.query % 4)) > 0
    assert tx.EpisodeSampler(multiclass_source(), shots=2, queries=4).shared_subjects(plan) == 0
    kept_apart = tx.EpisodeSampler(source, shots=2, queries=4)
    assert kept_apart.shared_subjects(kept_apart[0]) == 0


def test_a_sampler_and_a_plan_can_be_looked_at():
    assert (
        repr(SAMPLERS["fixed"]()) == "EpisodeSampler(['toy'], ways=3, shots=2, queries=4, seed=0)"
    )
    assert repr(SAMPLERS["disjoint"]()).endswith("seed=0, disjoint=6)")
    assert (
        repr(SAMPLERS["fixed"]()[2]) == "EpisodePlan(2 of 'toy': 3-way 2-shot, 6 support, 12 query)"
    )
    assert "mixed shots" in repr(SAMPLERS["variable"]()[0])
    assert repr(SAMPLERS["fixed"]().batch(range(2))) == "PlanBatch(2 plans)"


def test_plans_compare_by_value():
    sampler = SAMPLERS["fixed"]()
    assert sampler[0] == sampler[0]
    assert sampler[0] != sampler[1]
    assert sampler[0] != "plan"
    assert len({sampler[0], sampler[0], sampler[1]}) == 2
    batch = sampler.batch(range(3))
    assert batch[1:] == sampler.batch([1, 2])
    assert isinstance(batch[1:], PlanBatch)
    assert batch != list(batch)
    assert sampler[1] in batch


def test_a_request_is_a_value():
    request = SAMPLERS["fixed"]().request
    assert request == Request(3, 2, 4, "balanced", "respect", True, None)
    assert request.shot_range == (2, 2)
    assert hash(request) == hash(loads(dumps(request)))

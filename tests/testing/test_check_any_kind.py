"""`check_sampler` on samplers of every kind: those of the library pass, changed ones are caught."""

from __future__ import annotations

import numpy as np
import pytest

import torchcross as tx
from tests.data.sampler_kinds import SAMPLERS, multiclass_source, multilabel_source
from tests.testing import changed_samplers as broken
from torchcross.data import MetaDatasetShots
from torchcross.targets import Binary, Ordinal
from torchcross.testing import NumberedSource, check_sampler

# -- where draws need not be uniform ---------------------------------------------------------------


def subjects(**asked):
    groups = np.arange(120) // 3
    return tx.EpisodeSampler(multiclass_source(groups=groups), **{"ways": 3, **asked})


def labels(**asked):
    return tx.EpisodeSampler(multilabel_source(), **asked)


def variable(**asked):
    return tx.EpisodeSampler(
        multiclass_source((30, 60, 20, 40)), shots=MetaDatasetShots(60, 20), **asked
    )


KINDS = {"subjects": subjects, "labels": labels, "variable": variable}
SAME = "an episode differed from the one before .* in 0 of 200 episodes"
NEW = "a sample came that the first half of the episodes did not have in 0 of 200 episodes"
CHANGES = {
    ("subjects", broken.Renumbered, broken.always_zero): "the first places .* in 400 of 400",
    ("subjects", broken.Renumbered, broken.twice_each): SAME,
    ("subjects", broken.Renumbered, broken.one_of_ten): NEW,
    (
        "subjects",
        broken.Picky,
        broken.not_the_first_class,
    ): "class 'class 0' was chosen in 0 of 400",
    ("labels", broken.Renumbered, broken.always_zero): SAME,
    ("labels", broken.Renumbered, broken.one_of_ten): NEW,
    ("labels", broken.Picky, broken.not_the_first_class): "class 'label 0' was chosen in 0 of 400",
    (
        "variable",
        broken.Renumbered,
        broken.always_zero,
    ): "in none of the first 200",
    ("variable", broken.Renumbered, broken.twice_each): "stood in that of the episode before",
    ("variable", broken.Picky, broken.not_the_first_class): "class 'class 0' was chosen 0 times",
    ("variable", broken.Picky, broken.not_sample_five): "'class 0' was sample 5 0 times",
    ("variable", broken.Picky, broken.support_is_small): "the support had more than .* in 0 of 400",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CHANGES, ids=lambda case: f"{case[0]}-{case[2].__name__}")
def test_a_changed_sampler_of_any_kind_is_caught(case):
    kind, wrapper, change = case
    shots = {} if kind == "variable" else {"shots": 2}
    ways = {"ways": 2} if change is broken.not_the_first_class else {}
    sampler = KINDS[kind](queries=2, **shots, **ways)
    with pytest.raises(AssertionError, match=CHANGES[case]):
        check_sampler(wrapper(sampler, change))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["subjects", "labels"])
def test_the_lower_end_of_a_range_is_caught_in_any_kind(kind):
    wide = {"ways": (2, 3), "shots": (1, 3), "queries": 2}
    check_sampler(KINDS[kind](**wide))
    with pytest.raises(AssertionError, match="an episode had 2 ways in 400 of 400 episodes"):
        check_sampler(KINDS[kind](**wide | {"ways": 2}), **wide)
    with pytest.raises(AssertionError, match="an episode had 1 shots in 400 of 400 episodes"):
        check_sampler(KINDS[kind](**wide | {"shots": 1}), **wide)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["subjects", "labels"])
def test_a_natural_query_that_is_balanced_is_caught_in_any_kind(kind):
    natural = {"ways": 2, "shots": 2, "queries": 2, "query": "natural"}
    sampler = KINDS[kind](**natural)
    check_sampler(sampler)
    with pytest.raises(AssertionError, match="a natural query was balanced in 400 of 400"):
        check_sampler(broken.Picky(sampler, broken.query_is_balanced))


@pytest.mark.long
def test_half_of_the_samples_is_caught_with_subjects():
    sampler = subjects(shots=2, queries=2)
    with pytest.raises(AssertionError, match=r"a sample of the odd places .* stood in the support"):
        check_sampler(broken.Picky(sampler, broken.even_samples_in_the_support))


# -- no false alarm --------------------------------------------------------------------------------


def ordinal(**asked):
    codes = np.repeat(np.arange(4), (50, 40, 30, 20))
    return tx.EpisodeSampler(NumberedSource(tx.Task("toy", Ordinal(list("abcd"))), codes), **asked)


def binary(**asked):
    codes = np.arange(70) % 7 // 6
    return tx.EpisodeSampler(NumberedSource(tx.Task("toy", Binary()), codes), **asked)


GOOD = {
    **SAMPLERS,
    "binary": lambda: binary(shots=3, queries=2),
    "binary, natural": lambda: binary(shots=1, queries=5, query="natural"),
    "binary, all samples used": lambda: binary(shots=5, queries=5),
    "ordinal": lambda: ordinal(ways=(2, None), shots=(1, 10), queries=5),
    "natural, unequal": lambda: tx.EpisodeSampler(
        multiclass_source((90, 10, 10, 30)), ways=(2, None), shots=2, queries=5, query="natural"
    ),
    "two samples a class": lambda: tx.EpisodeSampler(
        multiclass_source((2, 2, 2)), ways=2, shots=1, queries=1
    ),
    "a hundred classes": lambda: tx.EpisodeSampler(
        multiclass_source((5,) * 100), ways=(5, 20), shots=2, queries=2
    ),
    "one subject owns half": lambda: tx.EpisodeSampler(
        multiclass_source(groups=np.arange(120) % 2 * np.arange(120)), shots=2, queries=4
    ),
    "subjects, natural": lambda: subjects(shots=(1, 3), queries=3, query="natural"),
    "subjects, variable": lambda: tx.EpisodeSampler(
        multiclass_source(groups=np.arange(120) // 3), shots=MetaDatasetShots(40, 20), queries=3
    ),
    "labels, ranges": lambda: labels(ways=(1, 3), shots=(1, 3), queries=3),
    "labels, natural": lambda: labels(ways=2, shots=2, queries=3, query="natural"),
    "labels, union": lambda: labels(shots=2, queries=2, minimal=False),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", GOOD)
def test_a_good_sampler_of_any_kind_passes(kind):
    check_sampler(GOOD[kind]())

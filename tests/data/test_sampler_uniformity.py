"""Draws are uniform: over samples, over pairs of samples, over classes, over sides; seeds are
fixed, so luck is out.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

import torchcross as tx
from tests.data.chance import UNLIKELY, chi_square
from torchcross.data import LabelSource, MetaDatasetShots
from torchcross.targets import MultiClass, MultiLabel
from torchcross.testing import NumberedSource

COUNTS = (12, 9, 15, 8)
EPISODES = 3000


def source(cls=LabelSource, **kwargs):
    labels = np.repeat(np.arange(4), COUNTS)
    return cls(labels, tx.Task("toy", MultiClass(list("abcd"))), **kwargs)


def plans_of(**asked):
    return list(tx.EpisodeSampler(source(), **asked).batch(range(EPISODES)))


def drawn(plans, side, count):
    return np.bincount(np.concatenate([getattr(plan, side) for plan in plans]), minlength=count)


WAYS_OF_DRAWING = {
    "fast": {"ways": None, "shots": 2, "queries": 3},
    "fast, drawn shots": {"ways": None, "shots": (1, 4), "queries": 2},
    "natural": {"ways": None, "shots": 2, "queries": 3, "query": "natural"},
    "slow": {"ways": None, "shots": MetaDatasetShots(max_support=10), "queries": 3},
}


@pytest.mark.parametrize("way", [name for name in WAYS_OF_DRAWING if name != "natural"])
@pytest.mark.parametrize("side", ["support", "query"])
def test_every_sample_of_a_class_is_as_likely_as_any_other(way, side):
    found = drawn(plans_of(**WAYS_OF_DRAWING[way]), side, sum(COUNTS))
    for first, last in itertools.pairwise(np.cumsum((0, *COUNTS)).tolist()):
        assert chi_square(found[first:last]) > UNLIKELY


@pytest.mark.slow
def test_samples_of_a_natural_query_come_in_proportion():
    """All samples that the support leaves are alike, so a sample of a large class is left, and
    drawn, more often.
    """
    found = drawn(plans_of(**WAYS_OF_DRAWING["natural"]), "query", sum(COUNTS))
    left = np.repeat([(count - 2) / count for count in COUNTS], COUNTS)
    assert chi_square(found, left) > UNLIKELY
    assert chi_square(drawn(plans_of(**WAYS_OF_DRAWING["natural"]), "support", 44)[:12]) > UNLIKELY


@pytest.mark.parametrize("way", WAYS_OF_DRAWING)
def test_every_pair_of_samples_is_as_likely_as_any_other(way):
    asked = WAYS_OF_DRAWING[way] | {"ways": None}
    pairs = Counter()
    for plan in plans_of(**asked):
        ours = [s for s in plan.support.tolist() if s < 12]
        pairs.update(itertools.combinations(sorted(ours), 2))
    assert len(pairs) == math.comb(12, 2)
    assert chi_square(list(pairs.values())) > UNLIKELY


def test_every_pair_across_support_and_query_is_as_likely_as_any_other():
    pairs = Counter()
    for plan in plans_of(ways=None, shots=1, queries=2):
        ours = plan.support[0].item()
        pairs.update((ours, theirs) for theirs in plan.query.tolist() if theirs < 12)
    assert len(pairs) == 12 * 11
    assert chi_square(list(pairs.values())) > UNLIKELY


@pytest.mark.parametrize(
    "drawing", [{"shots": 1}, {"shots": 1, "query": "natural"}, {"shots": MetaDatasetShots()}]
)
def test_every_set_of_classes_is_as_likely_as_any_other(drawing):
    found = Counter(plan.classes for plan in plans_of(ways=2, queries=1, **drawing))
    assert set(found) == set(itertools.combinations(range(4), 2))
    assert chi_square(list(found.values())) > UNLIKELY


@pytest.mark.parametrize("drawing", [{}, {"query": "natural"}])
def test_ways_and_shots_are_drawn_uniformly_and_apart(drawing):
    found = Counter(
        (plan.ways, plan.shots)
        for plan in plans_of(ways=(2, None), shots=(1, 3), queries=2, **drawing)
    )
    assert set(found) == set(itertools.product((2, 3, 4), (1, 2, 3)))
    assert chi_square(list(found.values())) > UNLIKELY


@pytest.mark.slow
def test_neighbouring_episodes_and_neighbouring_seeds_are_independent():
    """The class sets of consecutive episodes, and of the same episode under consecutive seeds, are
    pairs at random.
    """
    sampler = tx.EpisodeSampler(source(), ways=2, shots=1, queries=1)
    classes = [plan.classes for plan in sampler.batch(range(EPISODES))]
    following = Counter(itertools.pairwise(classes))
    assert chi_square(list(following.values())) > UNLIKELY
    seeds = [
        tx.EpisodeSampler(source(), ways=2, shots=1, queries=1, seed=seed)[0].classes
        for seed in range(1500)
    ]
    assert chi_square(list(Counter(itertools.pairwise(seeds)).values())) > UNLIKELY


@pytest.mark.slow
def test_labels_of_equal_standing_are_drawn_alike():
    """Four samples with each answer pattern; by symmetry, patterns' samples come equally often."""
    answers = np.array([[n >> 1 & 1, n & 1] for n in range(32)])
    sampler = tx.EpisodeSampler(
        NumberedSource(tx.Task("toy", MultiLabel(["x", "y"])), answers), shots=1, queries=1
    )
    plans = sampler.batch(range(EPISODES))
    patterns = answers @ [2, 1]
    for side in ("support", "query"):
        found = drawn(plans, side, 32)
        for pattern in range(4):
            assert chi_square(found[patterns == pattern]) > UNLIKELY


@pytest.mark.slow
def test_labels_are_chosen_uniformly():
    answers = np.array([[n >> place & 1 for place in range(4)] for n in range(64)])
    sampler = tx.EpisodeSampler(
        LabelSource(answers, tx.Task("toy", MultiLabel(list("abcd")))), ways=2, shots=1, queries=1
    )
    found = Counter(plan.classes for plan in sampler.batch(range(1500)))
    assert len(found) == 6
    assert chi_square(list(found.values())) > UNLIKELY


def test_variable_shots_draw_their_sizes_from_the_whole_range():
    """beta is uniform: the support's size of one large class over its largest is uniform, up to
    rounding.
    """
    big = LabelSource(np.arange(4000) % 2, tx.Task("toy", MultiClass(["a", "b"])))
    sampler = tx.EpisodeSampler(
        big, shots=MetaDatasetShots(max_support=500, max_per_class=100), queries=10
    )
    sizes = np.array([len(plan.support) for plan in sampler.batch(range(2000))])
    tenths = np.bincount(np.minimum((sizes - 1) // 20, 9), minlength=10)
    assert chi_square(tenths) > UNLIKELY
    assert sizes.max() <= 200


def test_the_chi_square_test_tells_what_is_fair():
    assert chi_square([100, 100, 100]) == 1.0
    assert chi_square([100, 130, 100]) == pytest.approx(0.0653, abs=1e-3)
    assert chi_square([100, 200], [1, 2]) == 1.0
    assert chi_square([100, 160, 100]) < UNLIKELY

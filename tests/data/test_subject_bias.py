"""Subjects of unequal size bias draws a little: bounds for what docs/sampling.md says."""

from __future__ import annotations

import numpy as np
import pytest

import torchcross as tx
from torchcross.data import LabelSource
from torchcross.targets import MultiClass

EPISODES = 3000
MIXED = [1] * 4 + [2] * 4 + [4] * 2
HALF = [1] * 10 + [10]
BALANCED = {"shots": 2, "queries": 4}
NATURAL = BALANCED | {"query": "natural"}


def shares(sizes, side, **asked):
    """By the size of its subject: a sample's mean share of the draws of its class."""
    owners = np.repeat(np.arange(len(sizes)), sizes)
    count = len(owners)
    source = LabelSource(
        np.repeat([0, 1], count),
        tx.Task("toy", MultiClass(["a", "b"])),
        groups=np.concatenate([owners, owners + len(sizes)]),
    )
    plans = tx.EpisodeSampler(source, **asked).batch(range(EPISODES))
    sides = ("support", "query") if side == "both" else (side,)
    draws = np.concatenate([getattr(plan, name) for plan in plans for name in sides]) % count
    share = np.bincount(draws, minlength=count) / len(draws)
    owned = np.asarray(sizes)[owners]
    return {size: share[owned == size].mean() for size in sorted(set(sizes))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "asked", "expected"),
    [
        (MIXED, BALANCED, {1: 0.053, 2: 0.051, 4: 0.048}),
        (MIXED, {"shots": 5, "queries": 10}, {1: 0.053, 2: 0.050, 4: 0.048}),
        (MIXED, NATURAL, {1: 0.057, 2: 0.052, 4: 0.044}),
        (HALF, BALANCED, {1: 0.061, 10: 0.039}),
        (HALF, NATURAL, {1: 0.072, 10: 0.028}),
    ],
)
def test_samples_of_large_subjects_come_less_often_by_as_much_as_documented(sizes, asked, expected):
    assert shares(sizes, "both", **asked) == pytest.approx(expected, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [BALANCED, NATURAL])
def test_subjects_of_equal_size_are_drawn_alike(asked):
    owners = np.repeat(np.arange(10), 2)
    source = LabelSource(
        np.repeat([0, 1], 20),
        tx.Task("toy", MultiClass(["a", "b"])),
        groups=np.concatenate([owners, owners + 10]),
    )
    plans = tx.EpisodeSampler(source, **asked).batch(range(EPISODES))
    draws = np.concatenate([np.concatenate([plan.support, plan.query]) for plan in plans]) % 20
    share = np.bincount(draws, minlength=20) / len(draws)
    assert share == pytest.approx(np.full(20, 0.05), abs=0.003)


@pytest.mark.slow
def test_the_support_of_a_natural_query_is_unbiased():
    assert shares(HALF, "support", **NATURAL) == pytest.approx({1: 0.05, 10: 0.05}, abs=0.002)

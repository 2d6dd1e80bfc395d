"""A mixture draws its sources with exact probabilities, and is as reproducible as a single
source.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import torchcross as tx
from tests.data.chance import UNLIKELY, chi_square
from torchcross.data import LabelSource
from torchcross.data.sampling.mixture import SourceChoice
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.testing import check_sampler

ASKED = {"shots": 1, "queries": 2}


def source(name, samples, classes=2):
    target = MultiClass([f"class {c}" for c in range(classes)])
    return LabelSource(np.arange(samples) % classes, tx.Task("toy", target), name=name)


SOURCES = [source("a", 20), source("b", 60), source("c", 120)]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("uniform", (1, 1, 1)),
        ("size", (1, 3, 6)),
        ([5, 1, 2.5], (5, 1, 2.5)),
        ((0.2, 0.3, 0.5), (2, 3, 5)),
        (np.array([1, 2, 3]), (1, 2, 3)),
        ([1e308, 1e308, 1e308], (1, 1, 1)),
    ],
)
def test_sources_come_as_often_as_they_should(weights, expected):
    sampler = tx.EpisodeSampler(SOURCES, weights=weights, **ASKED)
    found = Counter(plan.source for plan in sampler.batch(range(6000)))
    assert chi_square([found["a"], found["b"], found["c"]], expected) > UNLIKELY


def test_a_source_of_weight_zero_never_comes():
    sampler = tx.EpisodeSampler(SOURCES, weights=[1, 0, 1], **ASKED)
    found = Counter(plan.source for plan in sampler.batch(range(500)))
    assert set(found) == {"a", "c"}
    assert sampler.source("b") is SOURCES[1]
    only = tx.EpisodeSampler(SOURCES, weights=[0, 1, 0], **ASKED)
    assert {plan.source for plan in only.batch(range(50))} == {"b"}


def test_a_source_of_next_to_no_weight_does_not_upset_the_others():
    sampler = tx.EpisodeSampler(SOURCES, weights=[1, 1, 5e-324], **ASKED)
    found = Counter(plan.source for plan in sampler.batch(range(1000)))
    assert chi_square([found["a"], found["b"]]) > UNLIKELY


def test_equal_weights_in_other_numbers_are_the_same_mixture():
    by_size = tx.EpisodeSampler(SOURCES, weights="size", **ASKED)
    by_hand = tx.EpisodeSampler(SOURCES, weights=[20.0, 60, np.float32(120)], **ASKED)
    assert by_size.batch(range(50)) == by_hand.batch(range(50))


@given(st.integers(0, 2**40), st.integers(0, 60))
def test_the_source_of_an_episode_depends_on_its_number_alone(start, count):
    choice = SourceChoice(SOURCES, "size", 3, "test")
    alone = [choice.source(index) for index in range(start, start + count)]
    assert choice.sources(range(start, start + count)) == alone
    assert [choice.names[place] for place in choice.positions(start, count)] == alone


@pytest.mark.parametrize("purpose", ["mixture", "batches"])
def test_choices_for_different_purposes_are_different(purpose):
    other = SourceChoice(SOURCES, "uniform", 0, "another purpose")
    assert SourceChoice(SOURCES, "uniform", 0, purpose).sources(range(64)) != other.sources(
        range(64)
    )
    assert SourceChoice(SOURCES, "uniform", 1, purpose).sources(range(64)) != SourceChoice(
        SOURCES, "uniform", 0, purpose
    ).sources(range(64))


def test_an_episode_of_a_mixture_is_the_same_episode_of_its_source_alone():
    sampler = tx.EpisodeSampler(SOURCES, seed=4, **ASKED)
    alone = {item.name: tx.EpisodeSampler(item, seed=4, **ASKED) for item in SOURCES}
    for plan in sampler.batch(range(30)):
        assert plan == alone[plan.source][plan.index]


def test_a_mixture_may_hold_every_kind_of_target_and_keeps_every_contract():
    binary = LabelSource(np.arange(40) % 2, tx.Task("binary", Binary()))
    ordinal = LabelSource(
        np.arange(90) % 3,
        tx.Task("ordinal", Ordinal(["low", "mid", "high"])),
        groups=np.arange(90) // 2,
    )
    answers = np.array([[n & 1, n >> 1 & 1] for n in range(60)])
    labelled = LabelSource(answers, tx.Task("labels", MultiLabel(["x", "y"])))
    sampler = tx.EpisodeSampler(
        [binary, ordinal, labelled, *SOURCES], ways=(2, None), shots=(1, 3), queries=4
    )
    check_sampler(sampler, 40)
    assert len({plan.source for plan in sampler.batch(range(40))}) == 6


def test_workers_ranks_and_resuming_change_nothing():
    sampler = tx.EpisodeSampler(SOURCES, weights="size", **ASKED)
    expected = list(sampler.batch(range(40)))
    for ranks in (1, 2, 3):
        shares = [list(sampler.batch(range(rank, 40, ranks))) for rank in range(ranks)]
        assert (
            sorted((plan for share in shares for plan in share), key=lambda plan: plan.index)
            == expected
        )
    assert list(sampler.stream(17, 40)) == expected[17:]

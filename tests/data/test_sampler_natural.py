"""Natural queries over labels with gaps: every sample has an answer to something that the episode
asks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import torchcross as tx
from torchcross._kit.arrays import read_only
from torchcross._kit.randomness import Stream, permutation
from torchcross.data import LabelSource, MixedBatches
from torchcross.errors import InfeasibleError
from torchcross.targets import MultiLabel
from torchcross.testing import check_sampler


def source_of(answers, groups=None, name=None):
    target = MultiLabel([f"label {c}" for c in range(answers.shape[1])], missing=-1)
    return LabelSource(answers, tx.Task("signs", target), groups=groups, name=name)


def answers_with_gaps(samples, labels, unknown, seed=0):
    """Answers of random samples; of every label, `unknown` samples have none."""
    words = Stream(seed, "test")
    places = np.stack([permutation(words, c, samples) for c in range(labels)], axis=1)
    return np.where(places < unknown, -1, places % 2)


def without_most(samples=200, known=50):
    answers = answers_with_gaps(samples, 3, 0)
    answers[known:] = -1
    return answers


@pytest.mark.parametrize("groups", [None, np.arange(200) % 20])
def test_a_sample_without_any_answer_stands_in_no_query(groups):
    sampler = tx.EpisodeSampler(
        source_of(without_most(), groups), ways=2, shots=2, queries=5, query="natural"
    )
    check_sampler(sampler, 20)
    for plan in sampler.batch(range(20)):
        assert plan.query.max() < 50


@pytest.mark.slow
@given(st.data())
def test_queries_hold_answers_however_few_there_are(data):
    samples, labels = data.draw(st.integers(30, 120)), data.draw(st.integers(1, 4))
    answers = answers_with_gaps(
        samples, labels, data.draw(st.integers(0, samples - 10)), data.draw(st.integers(0, 999))
    )
    groups = data.draw(st.sampled_from([None, np.arange(samples) % 5, np.arange(samples)]))
    ways = data.draw(st.integers(1, labels))
    try:
        sampler = tx.EpisodeSampler(
            source_of(answers, groups), ways=ways, shots=1, queries=3, query="natural"
        )
        plans = [sampler[number] for number in range(4)]
    except InfeasibleError:
        return
    check_sampler(sampler, len(plans))


def test_scattered_answers_are_drawn_equally_often():
    """Few samples answer; whether they answer one of the chosen labels or all makes no
    difference.
    """
    answers = np.full((3000, 2), -1)
    answers[:40, 0] = np.arange(40) % 2
    answers[20:60, 1] = np.arange(40) // 2 % 2
    plans = tx.EpisodeSampler(
        source_of(answers), shots=1, queries=5, query="natural", minimal=False
    ).batch(range(600))
    times = np.bincount(
        np.concatenate([np.append(plan.query, plan.support) for plan in plans]), minlength=3000
    )
    queried = np.bincount(np.concatenate([plan.query for plan in plans]), minlength=60)
    assert times[60:].sum() == 0
    assert queried.min() > queried.mean() * 0.6
    assert queried.max() < queried.mean() * 1.4


def test_samples_without_an_answer_are_not_counted_on():
    asked = {"ways": 2, "shots": 2, "queries": 25, "query": "natural"}
    with pytest.raises(InfeasibleError, match="there are 50 samples, 54 are needed"):
        tx.EpisodeSampler(source_of(without_most()), **asked)
    tx.EpisodeSampler(source_of(without_most(known=54)), **asked)
    answers = answers_with_gaps(200, 3, 0)
    answers[50:, :2] = -1
    with pytest.raises(
        InfeasibleError, match="there are 50 samples with a known answer to one of 2 labels, 54 are"
    ):
        tx.EpisodeSampler(source_of(answers), **asked)


class Careless:
    """Puts a sample that nothing is known of into every query."""

    def __init__(self):
        self.honest = tx.EpisodeSampler(
            source_of(without_most()), ways=2, shots=2, queries=5, query="natural"
        )
        self.request = self.honest.request

    def source(self, name):
        return self.honest.source(name)

    def __getitem__(self, index):
        plan, labels = self.honest[index], self.honest[index].query_labels.copy()
        labels[0] = -1
        return replace(
            plan, query=read_only(np.append(150, plan.query[1:])), query_labels=read_only(labels)
        )


def test_the_check_finds_a_query_without_answers():
    with pytest.raises(
        AssertionError, match=r"without a known answer to any label of the episode: \[150\]"
    ):
        check_sampler(Careless(), 1)


def test_size_means_labelled_samples_everywhere():
    """One source has many samples and hardly a label."""
    sources = [
        source_of(without_most(4000, 100), name="sparse"),
        source_of(answers_with_gaps(300, 3, 0), name="full"),
    ]
    sampler = tx.EpisodeSampler(sources, weights="size", shots=1, queries=2)
    by_hand = tx.EpisodeSampler(sources, weights=[100, 300], shots=1, queries=2)
    assert sampler.batch(range(40)) == by_hand.batch(range(40))
    batches, weighed = MixedBatches(sources), MixedBatches(sources, weights=[100, 300])
    assert [batches[number] for number in range(40)] == [weighed[number] for number in range(40)]


def test_one_label_is_one_way_and_the_bound_that_fails_is_named():
    one = source_of(answers_with_gaps(100, 1, 0))
    with pytest.raises(
        InfeasibleError,
        match=r"ways=\(2, None\).* the lower end asks for at least 2 ways, .* has 1 that",
    ):
        tx.EpisodeSampler(one, ways=(2, None), shots=1, queries=2)
    check_sampler(tx.EpisodeSampler(one, ways=(1, None), shots=1, queries=2), 3)

"""Subjects stand on one side of an episode; where they can be divided at all, they are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import torchcross as tx
from tests.examples import max_examples
from torchcross._kit.randomness import Stream, permutation
from torchcross.data import LabelSource, MetaDatasetShots
from torchcross.data.sampling.subject_division import can_divide, divide
from torchcross.errors import InfeasibleError
from torchcross.targets import MultiClass, MultiLabel
from torchcross.testing import check_sampler


def task_of(target_type, classes):
    return tx.Task("toy", target_type([f"class {c}" for c in range(classes)]))


# -- dividing one class ----------------------------------------------------------------------------


@max_examples(120)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(-2, 14), st.integers(-2, 14))
@example([2, 2], 1, 3)
@example([3, 3, 3], 4, 4)
def test_divide_finds_a_division_exactly_where_there_is_one(sizes, first, second):
    ways = itertools.product([False, True], repeat=len(sizes))
    exists = any(fits(sizes, chosen, first, second) for chosen in ways)
    chosen = divide(sizes, first, second)
    assert (chosen is not None) == exists
    if first >= 0 and second >= 0:
        assert can_divide(np.array(sizes, dtype=np.int64), first, second) == exists
    if chosen is not None:
        assert len(chosen) == len(sizes)
        assert fits(sizes, chosen, first, second)


def fits(sizes, chosen, first, second):
    ours = sum(size for size, mine in zip(sizes, chosen, strict=True) if mine)
    return ours >= first and sum(sizes) - ours >= second


def test_divide_takes_as_little_as_can_be():
    assert divide([9, 4, 3, 2], 5, 0) == [False, False, True, True]
    assert divide([9, 4, 4, 4], 5, 0) == [False, True, True, False]
    assert divide([9, 8, 1], 7, 0) == [False, True, False]
    assert divide([1] * 3000 + [5000], 2500, 0).count(True) == 2500


# -- dividing what chance would not ----------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 5, 20])
@pytest.mark.parametrize("sizes", [(5, 10), (10, 5), (6, 11), (14, 9), (15, 15)])
def test_two_subjects_per_class_are_enough(classes, sizes):
    """Chance gives a class a division every other time; twenty classes at once, never."""
    labels = np.repeat(np.arange(classes), sum(sizes))
    groups = np.repeat(np.arange(2 * classes), sizes * classes)
    sampler = tx.EpisodeSampler(LabelSource(labels, task_of(MultiClass, classes), groups=groups))
    check_sampler(sampler, 10)


@pytest.mark.slow
@pytest.mark.parametrize("query", ["balanced", "natural"])
@pytest.mark.parametrize("subjects", [2, 3, 7])
@pytest.mark.parametrize("target_type", [MultiClass, MultiLabel])
def test_few_subjects_that_have_everything_are_enough(target_type, subjects, query):
    """A free draw of the support would touch all of them and leave nobody for the query."""
    samples, words = 900, Stream(0, "test")
    if target_type is MultiLabel:
        labels = np.stack([permutation(words, c, samples) < 200 for c in range(4)], axis=1)
    else:
        labels = permutation(words, 0, samples) % 5
    source = LabelSource(
        labels,
        task_of(target_type, 4 if target_type is MultiLabel else 5),
        groups=permutation(words, 9, samples) % subjects,
    )
    check_sampler(tx.EpisodeSampler(source, shots=5, queries=10, query=query), 10)


@given(st.data())
def test_small_sources_are_divided_exactly_where_they_can_be(data):
    """Against all ways of dividing up to eight subjects."""
    target_type = data.draw(st.sampled_from([MultiClass, MultiLabel]))
    classes, samples = data.draw(st.integers(2, 4)), data.draw(st.integers(4, 60))
    words = Stream(data.draw(st.integers(0, 9999)), "test")
    if target_type is MultiClass:
        labels = permutation(words, 0, samples) ** 2 % 17 % classes
    else:
        shares = data.draw(st.lists(st.integers(0, samples), min_size=classes, max_size=classes))
        labels = np.stack(
            [permutation(words, c, samples) < share for c, share in enumerate(shares)], axis=1
        )
    owners = permutation(words, 9, samples) ** 2 % 19 % data.draw(st.integers(2, 6))
    if target_type is MultiClass and data.draw(st.booleans()):
        owners = 2 * labels + owners % 2
    source = LabelSource(labels, task_of(target_type, classes), groups=owners)
    asked = {"shots": data.draw(st.integers(1, 4)), "queries": data.draw(st.integers(1, 4))}
    query = data.draw(st.sampled_from(["balanced", "natural"]))
    possible = can_be_had(source, query=query, **asked)
    try:
        sampler = tx.EpisodeSampler(source, query=query, **asked)
    except InfeasibleError:
        assert not possible
        return
    if possible:
        check_sampler(sampler, 3)
    else:
        with pytest.raises(InfeasibleError, match="could not give episode 1"):
            sampler[1]


def can_be_had(source, shots, queries, query):
    answers = source.labels if source.labels.ndim == 2 else np.eye(4, dtype=int)[source.labels]
    answers = answers[:, : source.task.target.num_classes]
    wanted = (0, 1) if source.labels.ndim == 2 else (1,)
    for division in itertools.product([False, True], repeat=int(source.groups.max()) + 1):
        side = np.array(division)[source.groups]
        have = [
            min((answers[part] == answer).sum(axis=0).min() for answer in wanted)
            for part in (side, ~side)
        ]
        if query == "natural":
            have[1] = (~side).sum() // answers.shape[1]
        if have[0] >= shots and have[1] >= queries:
            return True
    return False


@pytest.mark.parametrize("query", ["balanced", "natural"])
def test_every_subject_may_stand_on_either_side(query):
    labels, groups = np.arange(200) % 2, np.arange(200) // 20
    sampler = tx.EpisodeSampler(
        LabelSource(labels, task_of(MultiClass, 2), groups=groups), shots=2, queries=4, query=query
    )
    plans = sampler.batch(range(200))
    for side in ("support", "query"):
        times = np.bincount(
            np.concatenate([np.unique(groups[getattr(plan, side)]) for plan in plans]), minlength=10
        )
        assert times.min() > times.mean() / 2


def test_variable_shots_keep_subjects_apart():
    labels, groups = np.arange(600) % 3, np.arange(600) // 5
    source = LabelSource(labels, task_of(MultiClass, 3), groups=groups)
    check_sampler(tx.EpisodeSampler(source, shots=MetaDatasetShots(max_support=60), queries=5), 10)


def test_what_cannot_be_divided_is_refused_without_a_long_search():
    """Hundreds of thousands of samples of two subjects that every class would need on both
    sides.
    """
    labels = np.arange(400_000) % 2
    groups = np.where(np.arange(400_000) < 12, np.arange(400_000) % 6 // 2, 3)
    with pytest.raises(InfeasibleError, match="from 4 subjects that own 199994, 2, 2, 2"):
        tx.EpisodeSampler(
            LabelSource(labels, task_of(MultiClass, 2), groups=groups), shots=8, queries=10
        )

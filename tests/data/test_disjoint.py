"""Disjoint episodes: exactly as many as asked for, no sample twice; or an error whose number can be
had.
"""

from __future__ import annotations

import pickle
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import torchcross as tx
from tests.data.chance import UNLIKELY, chi_square
from torchcross.data import LabelSource, MetaDatasetShots
from torchcross.errors import InfeasibleError
from torchcross.targets import MultiClass, MultiLabel
from torchcross.testing import check_sampler, sources


def source_of(counts, name="toy", **kwargs):
    task = tx.Task("toy", MultiClass([f"class {c}" for c in range(len(counts))]))
    return LabelSource(np.repeat(np.arange(len(counts)), counts), task, name=name, **kwargs)


def laid_out(source, count, **asked):
    """A sampler, or the number that its error says is possible."""
    try:
        return tx.EpisodeSampler(source, disjoint=count, **asked)
    except InfeasibleError as error:
        message = str(error)
    found = re.search(r"Possible: (?:disjoint=(\d+)|none)", message)
    assert found, message
    return int(found[1] or 0)


def most_episodes(counts, ways, each):
    """The most episodes of `ways` different classes with `each` samples: fill the fullest classes
    first, by hand.
    """
    left, episodes = sorted(counts), 0
    while left[-ways] >= each:
        left = sorted([*left[:-ways], *(count - each for count in left[-ways:])])
        episodes += 1
    return episodes


# -- how many --------------------------------------------------------------------------------------


@pytest.mark.slow
@given(
    st.lists(st.integers(3, 30), min_size=2, max_size=6),
    st.integers(1, 2),
    st.integers(1, 2),
    st.data(),
)
def test_there_are_as_many_as_counting_allows_and_no_more(counts, shots, queries, data):
    ways = data.draw(st.integers(2, len(counts)))
    each = shots + queries
    counts = [max(count, each) for count in counts]
    most = most_episodes(counts, ways, each)
    upper = data.draw(st.sampled_from([ways, None, len(counts)]))
    asked = {"ways": ways if upper == ways else (ways, upper), "shots": shots, "queries": queries}
    sampler = tx.EpisodeSampler(source_of(counts), disjoint=most, **asked)
    check_sampler(sampler, most, disjoint=True)
    assert len(sampler) == most
    assert laid_out(source_of(counts), most + 1, **asked) == most


@pytest.mark.slow
@given(st.data(), st.integers(1, 12))
def test_every_kind_of_disjoint_episodes_keeps_its_word(data, count):
    """Whatever cannot be counted beforehand: drawn shots, natural queries, variable shots, labels,
    subjects.
    """
    source = data.draw(sources(each=6, max_extra=20))
    exclusive = source.labels.ndim == 1
    query = data.draw(st.sampled_from(["balanced", "natural"]))
    variable = [MetaDatasetShots()] if exclusive and query == "balanced" else []
    asked = {
        "ways": data.draw(st.sampled_from([None, (1, None)])),
        "shots": data.draw(st.sampled_from([1, 2, (1, 3), *variable])),
        "queries": data.draw(st.integers(1, 3)),
        "query": query,
        "minimal": data.draw(st.booleans()),
    }
    try:
        tx.EpisodeSampler(source, **asked)
    except InfeasibleError:
        return
    found = laid_out(source, count, **asked)
    if isinstance(found, int):
        assert found < count
        if found == 0:
            return
        found = tx.EpisodeSampler(source, disjoint=found, **asked)
    check_sampler(found, len(found), disjoint=True)


@pytest.mark.slow
@given(st.integers(1, 60), st.data())
def test_a_mixture_speaks_of_all_its_episodes(count, data):
    items = [
        source_of([data.draw(st.integers(3, 40)) for _ in range(3)], name=name) for name in "ab"
    ]
    weights = data.draw(st.sampled_from(["uniform", "size", [1, 0], [1, 5]]))
    asked = {"ways": 2, "shots": 1, "queries": 2, "weights": weights}
    found = laid_out(items, count, **asked)
    if isinstance(found, int):
        assert found < count
        if found == 0:
            return
        found = tx.EpisodeSampler(items, disjoint=found, **asked)
    check_sampler(found, len(found), disjoint=True)
    drawn = tx.EpisodeSampler(items, **asked)
    assert [plan.source for plan in found] == [
        plan.source for plan in drawn.batch(range(len(found)))
    ]


def test_a_tight_layout_uses_every_sample():
    sampler = tx.EpisodeSampler(source_of([30, 30, 30]), shots=1, queries=2, disjoint=10)
    used = np.concatenate([np.concatenate([plan.support, plan.query]) for plan in sampler])
    assert sorted(used.tolist()) == list(range(90))


def test_ways_shrink_only_where_they_must():
    roomy = tx.EpisodeSampler(source_of([60] * 4), ways=(2, None), shots=1, queries=1, disjoint=15)
    assert {plan.ways for plan in roomy} == {2, 3, 4}
    tight = tx.EpisodeSampler(
        source_of([6, 8, 3, 12]), ways=(2, None), shots=1, queries=1, disjoint=7
    )
    assert {plan.ways for plan in tight} == {2}


def test_variable_shots_leave_something_for_the_episodes_to_come():
    sampler = tx.EpisodeSampler(
        source_of([60] * 3), shots=MetaDatasetShots(), queries=5, disjoint=20
    )
    check_sampler(sampler, disjoint=True)
    few = tx.EpisodeSampler(source_of([60] * 3), shots=MetaDatasetShots(), queries=5, disjoint=2)
    assert max(len(plan.support) for plan in few) > 20


# -- purity ----------------------------------------------------------------------------------------


def make(count=12, seed=0, **asked):
    return tx.EpisodeSampler(
        source_of([60, 50, 40]), ways=2, shots=2, queries=3, seed=seed, disjoint=count, **asked
    )


def test_a_layout_is_pure_in_seed_count_and_index():
    plans = list(make())
    assert [make()[index] for index in (11, 0, 5)] == [plans[index] for index in (11, 0, 5)]
    assert list(make().batch(range(3, 9))) == plans[3:9]
    assert list(pickle.loads(pickle.dumps(make()))) == plans
    assert list(make(seed=1)) != plans
    assert [plan.index for plan in plans] == list(range(12))
    check_sampler(make(), remake=make, disjoint=True)


def test_a_layout_belongs_to_its_count():
    """Another number of episodes is another layout, and says so by being different."""
    assert list(make(11)) != list(make(12))[:11]


def test_plans_of_a_pickled_layout_stay_read_only():
    for plan in pickle.loads(pickle.dumps(make())):
        assert not plan.support.flags.writeable


# -- uniformity ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_class_sets_are_uniform_where_there_is_room_and_at_every_place_where_there_is_none():
    roomy = [list(make(3, seed=seed)) for seed in range(400)]
    found = Counter(plan.classes for plans in roomy for plan in plans)
    assert chi_square(list(found.values())) > UNLIKELY
    tight = [
        list(
            tx.EpisodeSampler(
                source_of([8, 4, 4]), ways=2, shots=1, queries=1, seed=seed, disjoint=4
            )
        )
        for seed in range(400)
    ]
    for place in range(4):
        classes = Counter(plans[place].classes for plans in tight)
        assert set(classes) <= {(0, 1), (0, 2)}
        assert chi_square(list(classes.values())) > UNLIKELY


@pytest.mark.slow
def test_no_place_in_the_layout_is_better_served_than_another():
    """The layout runs out of ways towards its end; its order is then shuffled."""
    asked = {"ways": (2, None), "shots": 1, "queries": 1, "disjoint": 4}
    wide = np.zeros(4, dtype=int)
    for seed in range(400):
        wide += [
            plan.ways == 3 for plan in tx.EpisodeSampler(source_of([9, 8, 4]), seed=seed, **asked)
        ]
    assert wide.sum() > 100
    assert chi_square(wide) > UNLIKELY


@pytest.mark.slow
def test_samples_are_uniform_over_the_episodes():
    """Half of each class is used; which half, and in which episode, is chance."""
    times = np.zeros(40, dtype=int)
    for seed in range(500):
        sampler = tx.EpisodeSampler(source_of([20, 20]), shots=1, queries=1, seed=seed, disjoint=5)
        for plan in sampler:
            times[plan.support] += 1
    assert chi_square(times) > UNLIKELY


# -- words -----------------------------------------------------------------------------------------


def test_the_error_says_what_is_there_what_is_needed_and_what_is_possible():
    with pytest.raises(InfeasibleError) as caught:
        tx.EpisodeSampler(source_of([40, 40, 12]), shots=2, queries=3, disjoint=5)
    assert (
        str(caught.value)
        == "source 'toy' gives 2 disjoint episodes and then no more, 5 were asked for: an episode"
        " takes 5 samples of 3 classes or more, and the rarest class 'class 2' has 12. Possible:"
        " disjoint=2, or fewer shots, queries or ways"
    )


def test_the_error_of_a_mixture_says_whose_share_it_is():
    items = [source_of([300, 300], name="large"), source_of([8, 8], name="small")]
    with pytest.raises(
        InfeasibleError, match=r"source 'small' gives 2 .*, (\d+) of 20 fall to it.*disjoint=(\d+)"
    ) as caught:
        tx.EpisodeSampler(items, shots=1, queries=2, disjoint=20)
    possible = int(re.search(r"disjoint=(\d+)", str(caught.value))[1])
    assert len(tx.EpisodeSampler(items, shots=1, queries=2, disjoint=possible)) == possible
    with pytest.raises(InfeasibleError):
        tx.EpisodeSampler(items, shots=1, queries=2, disjoint=possible + 1)


def test_labels_run_out_and_are_refused():
    answers = np.array([[1, 0]] * 12 + [[0, 1]] * 40)
    source = LabelSource(answers, tx.Task("toy", MultiLabel(["rare", "common"])))
    check_sampler(tx.EpisodeSampler(source, shots=1, queries=2, disjoint=4), disjoint=True)
    with pytest.raises(
        InfeasibleError, match=r"the rarest class 'rare' has 12. Possible: disjoint=4"
    ):
        tx.EpisodeSampler(source, shots=1, queries=2, disjoint=5)


def test_subjects_may_stand_in_several_episodes_but_on_one_side_of_each():
    source = source_of([40, 40], groups=np.arange(80) // 4)
    check_sampler(tx.EpisodeSampler(source, shots=2, queries=4, disjoint=5), disjoint=True)

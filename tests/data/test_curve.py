"""Shot curves: fewer shots are part of more, the query is shared, and every contract holds at every
number of shots.
"""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import torchcross as tx
from torchcross.data import LabelSource, MetaDatasetShots, toys
from torchcross.errors import InfeasibleError, InputError
from torchcross.targets import MultiClass, MultiLabel
from torchcross.testing import check_sampler, samplers, sources


def multiclass():
    labels = np.arange(160) % 4
    return LabelSource(labels, tx.Task("toy", MultiClass(list("abcd"))))


def multilabel():
    answers = np.array([[n & 1, n >> 1 & 1, n >> 2 & 1] for n in range(240)])
    return LabelSource(answers, tx.Task("toy", MultiLabel(list("xyz"))))


class AtShots:
    """One point of a curve, seen as a sampler."""

    def __init__(self, curve, sampler, shots):
        self.curve, self.sampler, self.shots = curve, sampler, shots
        self.request = sampler.with_shots(shots).request

    def source(self, name):
        return self.sampler.source(name)

    def __getitem__(self, index):
        return self.curve[index][self.shots]


def check_nested(plans):
    ordered = [plans[shots] for shots in sorted(plans)]
    for fewer, more in pairwise(ordered):
        assert set(fewer.support.tolist()) < set(more.support.tolist())
        assert fewer.query.tolist() == more.query.tolist()
        assert fewer.query_labels.tolist() == more.query_labels.tolist()
        assert (fewer.index, fewer.source, fewer.classes) == (more.index, more.source, more.classes)


@pytest.mark.slow
@pytest.mark.parametrize("minimal", [True, False])
@pytest.mark.parametrize("make", [multiclass, multilabel])
def test_one_shot_is_part_of_five_is_part_of_ten(make, minimal):
    sampler = tx.EpisodeSampler(make(), ways=(2, None), queries=6, seed=3, minimal=minimal)
    curve = sampler.curve([10, 1, 5])
    assert curve.shots == (1, 5, 10)
    for index in range(10):
        plans = curve[index]
        assert list(plans) == [1, 5, 10]
        assert [plan.shots for plan in plans.values()] == [1, 5, 10]
        check_nested(plans)
    for shots in curve.shots:
        check_sampler(AtShots(curve, sampler, shots), 10)


@pytest.mark.long
@given(st.data())
def test_curves_keep_every_contract(data):
    source = data.draw(sources(each=8, max_extra=20))
    query = data.draw(st.sampled_from(["balanced", "natural"]))
    sampler = data.draw(samplers(source, shots=4, queries=2, query=query, min_samples=None))
    curve = sampler.curve([1, 2, 4])
    try:
        check_nested(curve[data.draw(st.integers(0, 10**9))])
        for shots in curve.shots:
            check_sampler(AtShots(curve, sampler, shots), 3)
    except InfeasibleError:
        assume(False)


def test_the_most_shots_are_the_sampler_with_these_shots():
    sampler = tx.EpisodeSampler(multiclass(), ways=3, shots=2, queries=6, seed=5)
    curve = sampler.curve([1, 7])
    assert curve[4][7] == sampler.with_shots(7)[4] == curve.sampler[4]


@pytest.mark.parametrize("nested", [True, False])
def test_a_level_goes_wherever_a_sampler_goes(nested, tmp_path):
    curve = tx.EpisodeSampler(toys.multiclass(300, size=8), ways=3, queries=6, seed=5).curve(
        [1, 7], nested=nested
    )
    level = curve.at(1)
    expected = [curve[index][1] for index in range(4)]
    assert list(level.batch(range(4))) == expected
    assert [episode.plan for episode in tx.EpisodeLoader(level, 4, workers=1)] == expected
    tx.save_plans(tmp_path / "one-shot.npz", level, range(4))
    plans = tx.load_plans(tmp_path / "one-shot.npz", level.sources)
    assert list(plans) == expected
    assert (plans.header["curve"], plans.header["shots"], plans.header["nested"]) == (
        [1, 7],
        1,
        nested,
    )
    with pytest.raises(InputError, match=r"no 5 shots; it has \[1, 7\]"):
        curve.at(5)


def test_with_shots_changes_nothing_else():
    sampler = tx.EpisodeSampler(multiclass(), ways=3, shots=2, queries=6, seed=5, min_samples=9)
    assert sampler.with_shots(2).batch(range(5)) == sampler.batch(range(5))
    other = sampler.with_shots((1, 3))
    assert (other.request.ways, other.request.queries, other.seed, other.request.min_samples) == (
        3,
        6,
        5,
        9,
    )


@pytest.mark.parametrize("make", [multiclass, multilabel])
def test_not_nested_are_independent(make):
    sampler = tx.EpisodeSampler(make(), queries=6)
    curve = sampler.curve([1, 5], nested=False)
    for index in range(5):
        plans = curve[index]
        assert plans == {shots: sampler.with_shots(shots)[index] for shots in (1, 5)}
        assert plans[1].query.tolist() != plans[5].query.tolist()
    assert curve.at(1)[3] == curve[3][1]


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("make", [multiclass, multilabel])
def test_a_curve_is_pure(make, nested):
    sampler = tx.EpisodeSampler(make(), queries=6)
    curve, expected = (
        sampler.curve([1, 3], nested=nested),
        [sampler.curve([1, 3], nested=nested)[n] for n in range(6)],
    )
    assert [curve[n] for n in (5, 0, 3)] == [expected[n] for n in (5, 0, 3)]
    assert list(curve.stream(1, 5)) == expected[1:5]
    copied = pickle.loads(pickle.dumps(curve))
    assert [copied[n] for n in range(6)] == expected
    for plans in (curve[0], copied[0]):
        assert not any(
            plan.support.flags.writeable or plan.query.flags.writeable for plan in plans.values()
        )


def test_shots_in_between_do_not_change_the_others_of_one_class_each():
    """Exclusive classes: the k-shot support is the first k of each class, whichever numbers are
    asked for.
    """
    sampler = tx.EpisodeSampler(multiclass(), queries=6)
    assert sampler.curve([1, 8])[2][1] == sampler.curve([1, 2, 5, 8])[2][1]


def test_a_curve_of_disjoint_episodes_has_a_length():
    sampler = tx.EpisodeSampler(multiclass(), ways=2, queries=6, disjoint=5)
    curve = sampler.curve([1, 5])
    assert len(curve) == 5
    check_nested(curve[4])
    with pytest.raises(IndexError):
        curve[5]
    with pytest.raises(TypeError, match="no length"):
        len(tx.EpisodeSampler(multiclass()).curve([1]))


def test_a_curve_over_a_mixture():
    sampler = tx.EpisodeSampler([multiclass(), named(multilabel(), "other")], queries=6)
    curve = sampler.curve([1, 4])
    assert {curve[n][1].source for n in range(12)} == {"toy", "other"}
    for n in range(12):
        check_nested(curve[n])


def named(source, name):
    return LabelSource(source.labels, source.task, name=name)


@pytest.mark.parametrize(
    ("shots", "message"),
    [([], "at least one"), ([0], "shots=0"), ([1, 2.5], "shots=2.5"), ([True], "shots=True")],
)
def test_shots_of_a_curve_are_numbers(shots, message):
    with pytest.raises(InputError, match=message):
        tx.EpisodeSampler(multiclass()).curve(shots)


def test_a_number_of_shots_given_twice_is_one_point():
    assert list(tx.EpisodeSampler(multiclass()).curve([2, 2, np.int64(1)])[0]) == [1, 2]


def test_a_curve_that_cannot_be_had_is_refused_at_once():
    with pytest.raises(InfeasibleError, match="40 samples, 45 are needed"):
        tx.EpisodeSampler(multiclass()).curve([1, 35])


def test_a_curve_does_not_care_how_many_shots_its_sampler_draws():
    for shots in (2, (1, 3), MetaDatasetShots()):
        sampler = tx.EpisodeSampler(multiclass(), ways=3, shots=shots, queries=6)
        assert (
            sampler.curve([1, 5])[3]
            == tx.EpisodeSampler(multiclass(), ways=3, queries=6).curve([1, 5])[3]
        )


@pytest.mark.parametrize("source", [multiclass(), multilabel()])
def test_at_0_shots_there_is_no_support_and_the_same_query(source, tmp_path):
    curve = tx.EpisodeSampler(source, queries=6).curve([1, 5])
    plan, of_others = curve.at(0)[3], curve[3][5]
    assert (plan.shots, len(plan.support), plan.index) == (0, 0, 3)
    assert plan.support_labels.shape == (0, *of_others.support_labels.shape[1:])
    assert np.array_equal(plan.query, of_others.query)
    path = tmp_path / "plans.npz"
    tx.save_plans(path, curve.at(0), range(4))
    assert list(tx.load_plans(path, source)) == [curve.at(0)[n] for n in range(4)]
    with pytest.raises(InputError, match="no 2 shots"):
        curve.at(2)


@pytest.mark.parametrize("keep", [1, 10**6])
def test_plans_that_are_kept_are_those_that_are_drawn(keep):
    """Kept for the first episode alone, or for all of them."""
    sampler = tx.EpisodeSampler(toys.multiclass(), shots=5, queries=3)
    fresh, kept = sampler.curve([1, 5]), sampler.curve([1, 5], keep=keep)
    for _ in range(2):
        for index in (0, 3, 1):
            for shots in (0, 1, 5):
                assert kept.at(shots)[index] == fresh.at(shots)[index]
    assert (kept[3][5] is kept[3][5]) == (keep > 1)


def test_a_level_reads_from_other_sources_with_the_same_plans():
    source = toys.multiclass()
    other = toys.multiclass()
    sampler = tx.EpisodeSampler(source, shots=2, queries=3)
    level = sampler.curve([1, 2]).at(1)
    moved = level.read_from(tx.EpisodeSampler(other, shots=2, queries=3))
    assert moved[7] == level[7]
    assert moved.source(source.name) is other
    assert level.source(source.name) is source


@pytest.mark.parametrize("nested", [True, False])
def test_plans_are_kept_for_as_many_bytes_as_they_hold(nested):
    """Nested plans share their query; others have one each."""
    sampler = tx.EpisodeSampler(toys.multiclass(), shots=5, queries=3)
    plans = sampler.curve([1, 5], nested=nested)[0].values()
    halves = [(plan.query, plan.query_labels) for plan in plans]
    halves = halves[:1] if nested else halves
    halves += [(plan.support, plan.support_labels) for plan in plans]
    of_one = sum(images.nbytes + labels.nbytes for images, labels in halves)
    kept = sampler.curve([1, 5], nested=nested, keep=2 * of_one)
    assert [kept[index][5] is kept[index][5] for index in range(3)] == [True, True, False]

"""Every sampler keeps every contract of sampling, over generated labels of every target; see
`check_sampler`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import islice
from multiprocessing import get_context
from pickle import dumps, loads

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import torchcross as tx
from tests.data.sampler_kinds import SAMPLERS, multiclass_source, multilabel_source
from torchcross._kit.randomness import Stream, permutation
from torchcross.data import LabelSource, MetaDatasetShots
from torchcross.errors import InfeasibleError, InputError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.testing import NumberedSource, check_sampler, numbers_of, samplers, sources

EXCLUSIVE = ["binary", "multiclass", "ordinal"]
FEW = st.integers(1, 4)


@st.composite
def hostile_subjects(draw, each):
    """Some of each class, and subjects that care for no class (`sources` sets some apart for
    each).
    """
    source = draw(sources(each=each, groups=False, max_extra=20))
    owners = draw(
        st.lists(
            st.integers(0, draw(st.integers(1, 9))), min_size=len(source), max_size=len(source)
        )
    )
    bare = type(source.task.target)(list(source.task.classes), missing=-1)
    return NumberedSource(tx.Task("codes", bare), source.labels, groups=owners)


def reason_to_give_up(sampler, episodes):
    """Checks every contract. Where counting could not decide, an episode may say why it cannot be
    had.
    """
    try:
        check_sampler(sampler, episodes)
    except InfeasibleError as error:
        return str(error)
    return "none; labels overlap and no subject may stand in both, and all went well"


# -- all contracts at once -------------------------------------------------------------------------


@pytest.mark.long
@given(st.data(), st.integers(0, 10**6))
def test_samplers_of_exclusive_classes_keep_every_contract(data, start):
    source = data.draw(sources(EXCLUSIVE, each=data.draw(FEW), groups=False))
    check_sampler(data.draw(samplers(source)), 6, start=start)


@pytest.mark.long
@given(st.data())
def test_samplers_of_several_labels_keep_every_contract_or_say_that_labels_overlap(data):
    source = data.draw(sources(["multilabel"], each=data.draw(FEW), groups=False))
    sampler = data.draw(samplers(source))
    assert "labels overlap" in reason_to_give_up(sampler, 6)


@pytest.mark.long
@given(st.data())
def test_samplers_with_subjects_keep_every_contract_or_say_that_subjects_are_in_the_way(data):
    source = data.draw(hostile_subjects(data.draw(FEW)))
    sampler = data.draw(samplers(source))
    reason = reason_to_give_up(sampler, 6)
    assert "labels overlap" in reason or "no subject may stand in both" in reason


@pytest.mark.slow
@given(st.data())
def test_queries_of_several_labels_are_minimal_too(data):
    source = data.draw(sources(["multilabel"], each=6, groups=False))
    sampler = data.draw(
        samplers(source, minimal=True, query="balanced", shots=2, queries=2, min_samples=None)
    )
    plan = draw_or_skip(sampler, 0)
    for place in range(len(plan.query)):
        rest = np.delete(plan.query_labels, place, axis=0)
        assert min((rest == answer).sum(axis=0).min() for answer in (0, 1)) < 2


def draw_or_skip(sampler, number):
    try:
        return sampler[number]
    except InfeasibleError:
        assume(False)


@pytest.mark.slow
def test_many_rare_labels_are_covered_minimally():
    """As in chest X-rays: fourteen labels, the rarest in one of a hundred samples."""
    words = Stream(0, "rare labels")
    answers = np.stack([permutation(words, c, 6000) < 60 + 60 * c for c in range(14)], axis=1)
    source = LabelSource(answers, tx.Task("toy", MultiLabel([f"label {c}" for c in range(14)])))
    sampler = tx.EpisodeSampler(source, shots=5, queries=10)
    check_sampler(sampler, 5)
    assert all(len(plan.query) > 50 for plan in sampler.batch(range(5)))


@given(st.data())
def test_reads_are_what_the_plan_says(data):
    source = data.draw(sources(each=4, groups=False))
    sampler = data.draw(samplers(source))
    plan = draw_or_skip(sampler, 3)
    episode = tx.Episodes(sampler)[3]
    assert numbers_of(episode.support.x).tolist() == plan.support.tolist()
    assert numbers_of(episode.query.x).tolist() == plan.query.tolist()
    assert episode.support.y.tolist() == plan.support_labels.tolist()
    assert episode.task.classes == tuple(source.task.classes[c] for c in plan.classes)


@given(st.data())
def test_grades_keep_their_order_and_their_values_in_episodes(data):
    source = data.draw(sources(["ordinal"], each=3, groups=False))
    sampler = data.draw(samplers(source, shots=1, queries=2))
    plan = sampler[data.draw(st.integers(0, 10**9))]
    target = source.task.target.restrict(plan.classes)
    assert isinstance(target, Ordinal)
    assert list(target.grades) == sorted(target.grades)
    raw = target.decode(plan.support_labels)
    assert raw.tolist() == source.task.target.decode(source.labels[plan.support]).tolist()


# -- ways, shots, filters --------------------------------------------------------------------------


@pytest.mark.parametrize("ways", [2, 5, (2, None), (3, 4), (1, 99), (6, 6), None])
@pytest.mark.parametrize("shots", [1, (1, 6), (2, 2)])
def test_every_number_of_ways_and_shots_asked_for_is_drawn(ways, shots):
    sampler = tx.EpisodeSampler(multiclass_source([20] * 6), ways=ways, shots=shots, queries=3)
    low, high = (
        (6, 6)
        if ways is None
        else (ways, ways)
        if isinstance(ways, int)
        else (max(ways[0], 2), ways[1] or 6)
    )
    plans = sampler.batch(range(300))
    assert {plan.ways for plan in plans} == set(range(low, min(high, 6) + 1))
    fewest, most = (shots, shots) if isinstance(shots, int) else shots
    assert {plan.shots for plan in plans} == set(range(fewest, most + 1))
    check_sampler(sampler)


@pytest.mark.parametrize(
    ("target", "labels", "ways"),
    [
        (Binary(), np.arange(40) % 2, {2}),
        (Ordinal(["a", "b", "c"], grades=[0, 1, 6]), np.array([0, 1, 6] * 20), {2, 3}),
        (
            MultiLabel(["a", "b", "c"]),
            np.array([[n & 1, n >> 1 & 1, n >> 2 & 1] for n in range(80)]),
            {1, 2, 3},
        ),
    ],
)
def test_what_ways_may_be_depends_on_the_target(target, labels, ways):
    source = LabelSource(labels, tx.Task("toy", target))
    plans = tx.EpisodeSampler(source, ways=(1, None), shots=1, queries=1).batch(range(100))
    assert {plan.ways for plan in plans} == ways


@pytest.mark.parametrize(
    ("ways", "reason"),
    [
        (3, "a binary episode has at least 2, and 2 can be used"),
        ((3, 3), "the lower end asks for at least 3 ways, and the source has 2"),
        ((3, None), "the lower end asks for at least 3 ways, and the source has 2"),
    ],
)
def test_binary_episodes_have_two_ways_and_no_other(ways, reason):
    with pytest.raises(InfeasibleError, match=reason):
        tx.EpisodeSampler(LabelSource(np.arange(40) % 2, tx.Task("toy", Binary())), ways=ways)


def test_a_filter_leaves_out_what_is_rare_and_says_so():
    source = multiclass_source([40, 15, 14, 3, 40])
    enough = tx.EpisodeSampler(source, ways=(2, None), shots=5, queries=10, min_samples="enough")
    assert enough.dropped_classes == {"toy": ("class 2", "class 3")}
    assert {c for plan in enough.batch(range(50)) for c in plan.classes} == {0, 1, 4}
    number = tx.EpisodeSampler(source, ways=(2, None), shots=5, queries=10, min_samples=16)
    assert number.dropped_classes == {"toy": ("class 1", "class 2", "class 3")}
    everything = tx.EpisodeSampler(source, shots=1, queries=2)
    assert everything.dropped_classes == {"toy": ()}
    assert everything[0].classes == (0, 1, 2, 3, 4)


def test_a_filter_counts_the_rarer_answer_of_a_label():
    answers = np.zeros((60, 3), dtype=int)
    answers[:30, 0], answers[:5, 1], answers[:55, 2] = 1, 1, 1
    source = LabelSource(answers, tx.Task("toy", MultiLabel(["even", "rare", "common"])))
    sampler = tx.EpisodeSampler(source, shots=2, queries=5, min_samples="enough")
    assert sampler.dropped_classes == {"toy": ("rare", "common")}
    assert sampler[0].classes == (0,)


def test_a_filter_leaves_out_a_class_that_one_subject_owns():
    labels = np.repeat([0, 1, 2], 20)
    groups = np.where(labels == 1, 999, np.arange(60) // 4)
    source = LabelSource(labels, tx.Task("toy", MultiClass(["a", "b", "c"])), groups=groups)
    sampler = tx.EpisodeSampler(source, shots=5, queries=10, min_samples="enough")
    assert sampler.dropped_classes == {"toy": ("b",)}
    check_sampler(sampler)


# -- natural queries -------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.data())
def test_natural_queries_keep_every_contract(data):
    source = data.draw(sources(each=5, missing=None))
    asked = {
        "shots": 1,
        "queries": 2,
        "query": "natural",
        "ways": (2, None) if data.draw(st.booleans()) else None,
    }
    assume(source.task.target.num_classes > 1)
    sampler = data.draw(samplers(source, **asked, min_samples=None, groups="respect"))
    reason = reason_to_give_up(sampler, 5)
    assert source.groups is not None or "labels overlap" in reason


def test_a_natural_query_of_several_labels_may_hold_any_sample_with_an_answer():
    source = LabelSource(
        np.array([[1, 0]] * 5 + [[0, 1]] * 5 + [[-1, 0]] * 40),
        tx.Task("toy", MultiLabel(["a", "b"], missing=-1)),
    )
    plan = tx.EpisodeSampler(source, shots=1, queries=15, query="natural")[0]
    assert len(plan.query) == 30
    assert (plan.query_labels == -1).any()
    assert (np.diff(plan.query) > 0).all()


# -- Meta-Dataset ----------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.data(), st.integers(1, 80), st.integers(1, 30), st.integers(1, 12))
def test_variable_shots_keep_every_contract(data, max_support, max_per_class, queries):
    source = data.draw(sources(["multiclass", "ordinal"], each=2, max_extra=40, groups=False))
    shots = MetaDatasetShots(max_support, max_per_class)
    sampler = tx.EpisodeSampler(source, ways=(2, None), shots=shots, queries=queries)
    check_sampler(sampler, 5)
    for plan in sampler.batch(range(5)):
        assert plan.shots is None
        counts = [int((source.labels == c).sum()) for c in plan.classes]
        shown, asked = np.bincount(plan.support_labels), np.bincount(plan.query_labels)
        assert set(asked.tolist()) == {min(queries, min(counts) // 2)}
        assert all(1 <= k <= n - asked[0] for k, n in zip(shown.tolist(), counts, strict=True))
        assert shown.sum() <= max(max_support, plan.ways)
        assert shown.sum() <= max(sum(min(max_per_class, n - asked[0]) for n in counts), plan.ways)


def test_variable_shots_are_imbalanced_and_follow_the_sizes():
    sampler = tx.EpisodeSampler(
        multiclass_source([40, 80, 160, 320]), shots=MetaDatasetShots(), queries=10
    )
    shots = np.stack([np.bincount(plan.support_labels) for plan in sampler.batch(range(400))])
    assert (np.diff(shots.mean(axis=0)) > 0).all()
    assert len({tuple(row) for row in shots.tolist()}) > 300
    assert shots.sum(axis=1).max() <= 500
    assert shots.sum(axis=1).min() < 60


def test_variable_shots_are_for_exclusive_classes():
    with pytest.raises(InfeasibleError, match="several labels per sample"):
        tx.EpisodeSampler(multilabel_source(), shots=MetaDatasetShots())
    with pytest.raises(InputError, match="query='balanced'"):
        tx.EpisodeSampler(multiclass_source(), shots=MetaDatasetShots(), query="natural")


# -- purity, beyond what check_sampler does --------------------------------------------------------


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_kind_of_sampler_is_a_pure_value(kind):
    sampler = SAMPLERS[kind]()
    check_sampler(sampler, disjoint=kind == "disjoint", remake=SAMPLERS[kind])
    count = len(sampler) if kind == "disjoint" else 12
    expected = [sampler[index] for index in range(count)]
    assert list(islice(sampler, count)) == expected
    assert list(sampler.stream(2, count)) == expected[2:]
    assert list(sampler.batch(range(1, count, 3))) == expected[1::3]
    assert list(sampler.batch(index for index in (3, 3, 0))) == [
        expected[3],
        expected[3],
        expected[0],
    ]
    assert list(deepcopy(sampler).batch(range(count))) == expected
    assert sampler[np.int32(4)] == expected[4]


def draw_all(sampler):
    return [sampler[index] for index in range(6)] + list(sampler.batch(range(6)))


@pytest.mark.parametrize("kind", SAMPLERS)
def test_threads_may_share_a_sampler(kind):
    sampler, expected = SAMPLERS[kind](), draw_all(SAMPLERS[kind]())
    with ThreadPoolExecutor(3) as threads:
        for found in threads.map(draw_all, [sampler] * 9):
            assert found == expected


@pytest.mark.long
def test_a_spawned_process_draws_the_same_plans():
    drawn = [make() for make in SAMPLERS.values()]
    with get_context("spawn").Pool(1) as pool:
        found = pool.map(draw_all, drawn)
    assert found == [draw_all(sampler) for sampler in drawn]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_plans_keep_their_value_and_stay_read_only_in_a_pickle(kind):
    plans = SAMPLERS[kind]().batch(range(3))
    for copied in (loads(dumps(plans)), deepcopy(plans)):
        assert copied == plans
        assert hash(copied) == hash(plans)
        for plan in copied:
            assert not any(
                getattr(plan, name).flags.writeable
                for name in ("support", "query", "support_labels")
            )


def test_sources_stay_read_only_in_a_pickle():
    source = loads(dumps(multiclass_source(groups=np.arange(120) // 3)))
    for array in (source.labels, source.groups):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("kind", [kind for kind in SAMPLERS if kind != "disjoint"])
@pytest.mark.parametrize("index", [0, 63, 64, 2**31, 2**32 + 1, 2**58, 2**63 - 1])
def test_any_episode_can_be_asked_for_at_once(kind, index):
    sampler = SAMPLERS[kind]()
    plan = sampler[index]
    assert plan.index == index
    assert sampler.batch(range(index, index + 1))[0] == plan
    assert SAMPLERS[kind]()[index] == plan


def test_who_goes_up_to_the_last_episode_and_no_further_gets_it():
    sampler = SAMPLERS["drawn"]()
    for index in range(2**63 - 70, 2**63):
        assert sampler[index].index == index
    with pytest.raises(IndexError):
        sampler[2**63]


@pytest.mark.parametrize(
    ("index", "error"),
    [(-1, IndexError), (1.0, TypeError), ("1", TypeError), (True, TypeError), (2**63, IndexError)],
)
@pytest.mark.parametrize("kind", ["fixed", "mixture", "disjoint"])
def test_an_index_is_an_episode_number(kind, index, error):
    with pytest.raises(error):
        SAMPLERS[kind]()[index]
    with pytest.raises(error):
        SAMPLERS[kind]().batch([0, index])

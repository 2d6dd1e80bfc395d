"""Mixed batches: sources in proportion, passes without repetition, and every batch a pure function
of its number.
"""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchcross as tx
from tests.data.chance import UNLIKELY, chi_square
from torchcross.data import MixedBatches
from torchcross.errors import InputError, SourceError
from torchcross.targets import MultiClass, MultiLabel
from torchcross.testing import NumberedSource, numbers_of, sources

ORDERS = ["independent", "epoch"]


def source(name, samples, classes=2):
    target = MultiClass([f"class {c}" for c in range(classes)], missing=-1)
    return NumberedSource(tx.Task("toy", target), np.arange(samples) % classes, name=name)


def three():
    return [source("a", 21), source("b", 40), source("c", 63)]


# -- which source ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("size", (21, 40, 63)), ("uniform", (1, 1, 1)), ([3, 0.5, 1], (6, 1, 2))],
)
def test_sources_come_in_proportion(weights, expected):
    batches = MixedBatches(three(), batch_size=4, weights=weights)
    found = Counter(batches[b].source for b in range(6000))
    assert chi_square([found[name] for name in "abc"], expected) > UNLIKELY


def test_sources_of_neighbouring_batches_are_independent():
    batches = MixedBatches(three()[:2], batch_size=4, weights="uniform")
    names = [batches[b].source for b in range(4001)]
    assert chi_square(list(Counter(pairwise(names)).values())) > UNLIKELY


def test_a_source_of_weight_zero_never_comes():
    batches = MixedBatches(three(), batch_size=4, weights=[1, 0, 1])
    assert {batches[b].source for b in range(200)} == {"a", "c"}


def test_an_epoch_holds_every_batch_of_every_source_once():
    batches = MixedBatches(three(), batch_size=4, order="epoch")
    assert batches.batches_per_epoch == 5 + 10 + 15
    rows = [[batches[30 * epoch + place].source for place in range(30)] for epoch in range(3)]
    for row in rows:
        assert Counter(row) == {"a": 5, "b": 10, "c": 15}
    assert rows[0] != rows[1] != rows[2]


def test_the_first_batch_of_an_epoch_comes_in_proportion_to_the_batches():
    batches = MixedBatches(three(), batch_size=4, order="epoch")
    for place in (0, 11, 29):
        found = Counter(batches[30 * epoch + place].source for epoch in range(1200))
        assert chi_square([found[name] for name in "abc"], (5, 10, 15)) > UNLIKELY


# -- which samples ---------------------------------------------------------------------------------


@given(st.integers(1, 13), st.sampled_from(ORDERS), st.integers(0, 99))
def test_no_sample_is_seen_again_before_its_pass_is_over(batch_size, order, seed):
    items = three()
    batches = MixedBatches(items, batch_size=batch_size, order=order, seed=seed)
    seen = defaultdict(list)
    for b in range(90):
        plan = batches[b]
        assert plan.index == b
        assert len(plan.samples) == batch_size
        seen[plan.source].append(plan.samples.tolist())
    for item in items:
        per_pass = len(item) // batch_size
        rows = seen[item.name]
        for start in range(0, len(rows), per_pass):
            one_pass = list(chain.from_iterable(rows[start : start + per_pass]))
            assert len(set(one_pass)) == len(one_pass)
            assert set(one_pass) <= set(range(len(item)))


@pytest.mark.parametrize("order", ORDERS)
def test_passes_have_orders_of_their_own_and_leave_out_different_samples(order):
    batches = MixedBatches(source("a", 10), batch_size=3, order=order)
    passes = [
        np.concatenate([batches[3 * turn + b].samples for b in range(3)]).tolist()
        for turn in range(300)
    ]
    left_out = [next(iter(set(range(10)) - set(one_pass))) for one_pass in passes]
    assert len({tuple(one_pass) for one_pass in passes}) >= 298
    assert chi_square(np.bincount(left_out, minlength=10)) > UNLIKELY
    assert chi_square(np.bincount([one_pass[0] for one_pass in passes], minlength=10)) > UNLIKELY


def test_a_source_smaller_than_a_batch_comes_whole():
    batches = MixedBatches([source("a", 5), source("b", 40)], batch_size=8, weights="uniform")
    plans = [plan for plan in (batches[b] for b in range(40)) if plan.source == "a"]
    assert plans
    assert all(sorted(plan.samples.tolist()) == [0, 1, 2, 3, 4] for plan in plans)


@pytest.mark.parametrize("order", ORDERS)
@given(samples=st.integers(2, 30), batch_size=st.integers(2, 9))
def test_a_last_batch_that_is_kept_completes_its_pass(order, samples, batch_size):
    batches = MixedBatches(
        source("a", samples), batch_size=batch_size, order=order, last_batch="keep"
    )
    per_pass = batches.batches_per_pass["a"]
    assert batches.batches_per_epoch == per_pass
    for turn in range(2):
        sizes = [len(batches[turn * per_pass + b].samples) for b in range(per_pass)]
        one_pass = np.concatenate([batches[turn * per_pass + b].samples for b in range(per_pass)])
        # A single image would have no variance.
        left_out = int(samples % batch_size == 1)
        assert len(set(one_pass.tolist())) == len(one_pass) == samples - left_out
        assert set(sizes[:-1]) <= {batch_size}
        assert 1 < sizes[-1] <= batch_size


def test_what_becomes_of_the_last_batch_is_one_of_two_things():
    with pytest.raises(InputError, match="last_batch='pad'"):
        MixedBatches(source("a", 5), last_batch="pad")


def test_a_source_of_one_sample_makes_no_batch_that_has_a_variance():
    for last_batch in ("drop", "keep"):
        with pytest.raises(SourceError, match=r"'a' has one labelled sample.*leave the source out"):
            MixedBatches([source("a", 1), source("b", 9)], batch_size=4, last_batch=last_batch)
    assert len(MixedBatches(source("a", 1), batch_size=1)[5].samples) == 1


@pytest.mark.long
@given(sources(), st.integers(1, 5), st.sampled_from(ORDERS))
def test_unlabelled_samples_are_left_out(item, batch_size, order):
    known = (item.labels >= 0).reshape(len(item), -1).any(axis=1)
    if not known.any():
        with pytest.raises(SourceError, match="no labelled sample"):
            MixedBatches(item, batch_size=batch_size, order=order)
        return
    if known.sum() == 1 < batch_size:
        with pytest.raises(SourceError, match="one labelled sample"):
            MixedBatches(item, batch_size=batch_size, order=order)
        return
    batches = MixedBatches(item, batch_size=batch_size, order=order)
    for b in range(10):
        plan = batches[b]
        assert known[plan.samples].all()
        read = batches.read(plan)
        assert numbers_of(read.batch.x).tolist() == plan.samples.tolist()
        assert read.batch.y.tolist() == item.labels[plan.samples].tolist()
        assert (read.task, read.plan) == (item.task, plan)


# -- purity ----------------------------------------------------------------------------------------


def make(order):
    return MixedBatches(three(), batch_size=4, seed=9, order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_any_order_of_access_and_any_process_give_the_same_batches(order):
    expected = [make(order)[b] for b in range(70)]
    backwards = make(order)
    assert [backwards[b] for b in reversed(range(70))] == expected[::-1]
    assert [backwards[b] for b in (69, 3, 3, 40)] == [expected[b] for b in (69, 3, 3, 40)]
    assert [make(order)[b] for b in range(55, 70)] == expected[55:], "resuming in the middle"
    copied = pickle.loads(pickle.dumps(backwards))
    assert [copied[b] for b in range(70)] == expected
    shares = [[make(order)[b] for b in range(rank, 70, 3)] for rank in range(3)]
    assert sorted(chain.from_iterable(shares), key=lambda plan: plan.index) == expected


@pytest.mark.parametrize("far", [4095, 4096, 12_289, 50_001])
def test_far_batches_continue_the_passes_of_the_near_ones(far):
    """Counts of earlier batches are kept in blocks; a block's edge is no edge of anything that can
    be seen.
    """
    batches, per_pass = MixedBatches(three(), batch_size=10), {"a": 2, "b": 4, "c": 6}
    plans = [batches[b] for b in range(far - 60, far + 60)]
    fresh = MixedBatches(three(), batch_size=10)
    assert [fresh[plan.index] for plan in reversed(plans)] == plans[::-1]
    earlier = Counter(batches._choice.sources(range(far - 60)))
    passes = defaultdict(list)
    for plan in plans:
        passes[plan.source, earlier[plan.source] // per_pass[plan.source]] += plan.samples.tolist()
        earlier[plan.source] += 1
    assert len(passes) > 20
    assert all(len(set(samples)) == len(samples) for samples in passes.values())


def walk(batches):
    return [batches[b] for b in (20_000, 3, 9_000, 4_097, 16_385)]


def test_threads_may_share_batches():
    expected = walk(MixedBatches(three(), batch_size=4))
    for _ in range(5):
        shared = MixedBatches(three(), batch_size=4)
        with ThreadPoolExecutor(4) as threads:
            assert all(found == expected for found in threads.map(walk, [shared] * 8))


@pytest.mark.long
def test_a_spawned_process_draws_the_same():
    with get_context("spawn").Pool(1) as pool:
        for order in ORDERS:
            assert pool.apply(walk, (make(order),)) == walk(make(order))


def test_seeds_and_batch_sizes_give_batches_of_their_own():
    base = MixedBatches(three(), batch_size=4)
    assert [MixedBatches(three(), batch_size=4, seed=1)[b] for b in range(5)] != [
        base[b] for b in range(5)
    ]
    assert (
        MixedBatches(source("a", 9), batch_size=4)[0]
        != MixedBatches(source("b", 9), batch_size=4)[0]
    )


def test_numbers_may_be_numpys():
    theirs = MixedBatches(three(), batch_size=np.int64(4), seed=np.int32(9))
    assert theirs[np.int64(7)] == make("independent")[7]


# -- values and words ------------------------------------------------------------------------------


def test_a_batch_plan_is_a_value_and_read_only():
    batches = make("independent")
    plan = batches[0]
    assert plan == batches[0]
    assert plan != batches[1]
    assert plan != "plan"
    assert len({plan, batches[0]}) == 1
    for found in (plan, pickle.loads(pickle.dumps(plan))):
        assert found == plan
        with pytest.raises(ValueError, match="read-only"):
            found.samples[0] = 1


def test_a_tensor_source_is_read_without_a_warning():
    """The samples of a plan are read-only, which torch warns of once in a process: warnings are
    errors here.
    """
    images = np.arange(20, dtype=np.float32).reshape(20, 1)
    for kept in (images, torch.from_numpy(images.copy())):
        item = tx.TensorSource(kept, np.arange(20) % 2, source("a", 2).task)
        batches = MixedBatches(item, batch_size=4)
        read = batches.read(batches[1])
        assert read.batch.x[:, 0].tolist() == batches[1].samples.tolist()


def test_a_labelled_batch_can_be_mapped_and_moved():
    batches = make("epoch")
    read = batches.read(batches[2])
    moved = read.map(lambda images: images + 1).to("cpu")
    assert numbers_of(moved.batch.x).tolist() == (batches[2].samples + 1).tolist()
    assert moved.plan == read.plan


def test_batches_know_their_sources():
    batches = make("independent")
    assert batches.source("b").name == "b"
    with pytest.raises(InputError, match="no source 'z'; there are 'a', 'b', 'c'"):
        batches.source("z")
    assert repr(batches) == "MixedBatches(3 sources, batch_size=4, order='independent', seed=9)"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.0}, "batch_size=2.0"),
        ({"seed": -1}, "seed=-1"),
        ({"order": "random"}, "order='random'"),
        ({"weights": [1, 2]}, "one weight for each of 3 sources"),
        (
            {"order": "epoch", "weights": "uniform"},
            "weights='uniform' has no use with order='epoch'",
        ),
        ({"order": "epoch", "weights": np.ones(3)}, "has no use with order='epoch'"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        MixedBatches(three(), **wrong)


@pytest.mark.parametrize("index", [-1, 1.5, True, "1"])
def test_a_batch_has_a_number(index):
    with pytest.raises(InputError, match="index="):
        make("independent")[index]


def test_nothing_labelled_is_nothing_to_learn():
    item = NumberedSource(tx.Task("toy", MultiLabel(["x"], missing=-1)), np.full((4, 1), -1))
    with pytest.raises(SourceError, match="source 'toy' has no labelled sample"):
        MixedBatches([source("a", 4), item])

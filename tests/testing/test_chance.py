"""Bounds of chance: never below the probability, shared by all counts, and lenient where told."""

from __future__ import annotations

import math

import pytest

from torchcross.testing.chance import ComparedTally, Tally, implausible, log_tail_bound


@pytest.mark.parametrize(("trials", "mean"), [(1, 0.5), (7, 0.3), (40, 0.5), (60, 0.02), (60, 0.9)])
def test_the_bound_is_never_below_the_probability(trials, mean):
    weights = [
        math.comb(trials, hits) * mean**hits * (1 - mean) ** (trials - hits)
        for hits in range(trials + 1)
    ]
    assert sum(weights) == pytest.approx(1)
    for hits in range(trials + 1):
        tail = sum(weights[: hits + 1] if hits < mean * trials else weights[hits:])
        assert log_tail_bound(hits, trials, mean) >= math.log(tail) - 1e-9


def test_the_bound_is_small_where_the_count_is_far_off():
    assert log_tail_bound(0, 60, 0.5) == pytest.approx(60 * math.log(0.5))
    assert log_tail_bound(60, 60, 0.5) == pytest.approx(60 * math.log(0.5))
    assert log_tail_bound(30, 60, 0.5) == 0.0
    assert log_tail_bound(0, 0, 0.5) == 0.0
    assert log_tail_bound(1, 5, 0.0) == -math.inf


def test_few_are_no_fault_where_few_are_allowed():
    assert implausible([Tally("heads", 0, 60, 0.5)])
    assert not implausible([Tally("heads", 0, 60, 0.5, can_be_few=True)])
    assert implausible([Tally("heads", 60, 60, 0.5, can_be_few=True)])


def test_all_counts_share_one_false_alarm():
    """22 heads in a row are too many for one count, and not for one of a thousand."""
    assert implausible([Tally("heads", 22, 22, 0.5)]) != []
    fair = [Tally("heads", 11, 22, 0.5)] * 999
    assert implausible([Tally("heads", 22, 22, 0.5), *fair]) == []
    assert implausible([Tally("heads", 40, 40, 0.5), *fair]) == [
        "heads 40 times in 40, expected were about 20.0"
    ]


@pytest.mark.parametrize(
    ("hits", "reference", "caught"),
    [(0, 200, True), (60, 200, False), (400, 200, True), (0, 9, False)],
)
def test_a_quarter_of_the_reference_is_enough(hits, reference, caught):
    tallies = [ComparedTally("an event came", hits, 400, reference, 400)]
    assert bool(implausible(tallies)) == caught


def test_nothing_to_compare_is_no_doubt():
    assert implausible([]) == []
    assert implausible([ComparedTally("an event came", 0, 0, 0, 0)]) == []

"""Intervals of metrics with bounds stay within them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.statistics.drawn import overlapping_draws
from torchcross.errors import InputError
from torchcross.records import EpisodeRecord, Records
from torchcross.statistics import (
    bounds_of,
    hierarchical_interval,
    mean_interval,
    within_target,
)
from torchcross.statistics.bounds import within_bounds
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal

NEAR_ONE = np.array([1.0] * 27 + [0.98, 0.9, 0.7])


@max_examples(24)
@given(
    mean=st.floats(0.001, 0.999),
    half=st.floats(1e-9, 50),
    low=st.floats(-5, 5),
    width=st.floats(0.1, 9),
)
def test_ends_lie_between_the_bounds_and_about_the_mean(mean, half, low, width):
    centre = low + mean * width
    ends = within_bounds(centre, half * width, (low, low + width))
    slack = 1e-9 * (abs(low) + width)
    assert low - slack <= ends[0] <= centre + slack
    assert centre - slack <= ends[1] <= low + width + slack
    mirrored = within_bounds(-centre, half * width, (-low - width, -low))
    assert mirrored == pytest.approx((-ends[1], -ends[0]), abs=slack)


def test_a_narrow_interval_is_the_symmetric_one_to_first_order():
    low, high = within_bounds(0.9, 1e-5, (0, 1))
    assert (0.9 - low, high - 0.9) == pytest.approx((1e-5, 1e-5), rel=1e-3)
    low, high = within_bounds(0.9, 0.12, (0, 1))
    logit = np.log(0.9 / 0.1)
    step = 0.12 / 0.09
    assert low == pytest.approx(1 / (1 + np.exp(step - logit)))
    assert high == pytest.approx(1 / (1 + np.exp(-step - logit)))


def test_an_auroc_near_one_stays_below_one():
    draws = overlapping_draws(np.random.default_rng(0), episodes=30, images=12, drawn=5)
    for more in ({}, {"draws": draws}):
        symmetric = mean_interval(NEAR_ONE, **more)
        bounded = mean_interval(NEAR_ONE, **more, bounds=(0, 1))
        assert symmetric.high > 1 > bounded.high > bounded.mean > bounded.low > 0
        assert bounded.over == symmetric.over
    bca = mean_interval(NEAR_ONE, method="bca", draws=draws, bounds=(0, 1))
    assert bca.these_images == mean_interval(NEAR_ONE, method="bca")
    rows = [NEAR_ONE - shift for shift in (0, 0.1, 0.3)]
    assert hierarchical_interval(rows, resamples=99).high > 1
    for more in ({}, {"draws": draws}):
        seeded = hierarchical_interval(rows, resamples=99, **more, bounds=(0, 1))
        assert 0 < seeded.low < seeded.mean < seeded.high < 1


def test_within_a_target_no_interval_leaves_the_bounds():
    rows = {"near": NEAR_ONE, "amid": np.linspace(0.4, 0.6, 30)}
    records = Records.of(
        EpisodeRecord("run", "target", "domain", name, 5, 0, episode, "auroc", value)
        for name, values in rows.items()
        for episode, value in enumerate(values.tolist())
    )
    near, amid = within_target(records, "target", "auroc", 5).rows
    assert near.interval.high < 1 < mean_interval(NEAR_ONE).high
    assert near.interval.low == mean_interval(NEAR_ONE, bounds=(0, 1)).low
    plain = mean_interval(rows["amid"])
    assert (amid.interval.low, amid.interval.high) == (plain.low, plain.high)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((0, 0.5), "values reach from 0.7 to 1, beyond the bounds 0 and 0.5"),
        ((1, 0), "give the least and the largest value"),
        ((0, float("inf")), "give the least and the largest value"),
        ((0, float("nan")), "give the least and the largest value"),
        ((0, 1, 2), "give the least and the largest value"),
        ("01", "give the least and the largest value"),
        (1.0, "give the least and the largest value"),
    ],
)
def test_wrong_bounds_are_refused(bounds, message):
    with pytest.raises(InputError, match=message):
        mean_interval(NEAR_ONE, bounds=bounds)


def test_every_metric_of_a_target_has_bounds_or_is_an_error_in_grades():
    targets = (Binary, MultiClass, MultiLabel, Ordinal)
    metrics = {name for target in targets for name in target.metrics}
    assert {name for name in metrics if bounds_of(name) is None} == {"mae"}

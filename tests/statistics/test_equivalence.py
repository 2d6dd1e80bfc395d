"""Bayesian signed ranks: closed forms, an independent computation, and published software."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.records.published_table import NAMES, ROWS
from torchcross.errors import InputError
from torchcross.statistics import across_targets, equivalence

PRECISION = 0.01
"""More than four standard errors of a probability from 50,000 samples."""


@pytest.mark.parametrize(
    ("difference", "above"),
    [
        # Two targets' worth of weight: the prior's w is from Beta(1/2, 1), so P(w < x) = sqrt(x).
        # Far above: only the prior with itself lies within, w^2 < 1/2.
        (3.0, math.sqrt(math.sqrt(0.5))),
        # Above the margin, and not by twice: the pair with the prior lies within, (1-w)^2 > 1/2.
        (1.5, math.sqrt(1 - math.sqrt(0.5))),
        # The pair with the prior lies at the margin and counts half: 1 - w > w.
        (2.0, math.sqrt(0.5)),
        (0.9, 0.0),
    ],
)
def test_one_target_has_a_closed_form(difference, above):
    result = equivalence([difference], margin=1.0)
    assert result.above == pytest.approx(above, abs=PRECISION)
    assert (result.below, result.n) == (0.0, 1)
    assert result.within == pytest.approx(1 - above, abs=PRECISION)


@pytest.mark.parametrize(
    ("margin", "within"),
    # SignedRankTest of baycomp 1.0.3, 400,000 samples, on the same differences.
    [(1.03, 0.0008), (2.03, 0.0380), (3.03, 0.2343), (5.03, 0.9634)],
)
def test_the_probabilities_are_those_of_published_software(margin, within):
    pair = across_targets(ROWS, NAMES, margin=margin).pair("IM-PT", "mm-PT").equivalence
    assert pair is not None
    assert pair.within == pytest.approx(within, abs=0.005)
    assert pair.above == pytest.approx(1 - within, abs=0.005)
    assert (pair.n, pair.margin) == (18, margin)


def test_an_independent_computation_agrees():
    rng = np.random.RandomState(0)
    for size in (2, 5, 12):
        differences = rng.normal(0.2, 1.0, size)
        weights = rng.dirichlet([0.5, *[1.0] * size], 20_000)
        values = [0.0, *differences]
        regions = np.zeros((len(weights), 3))
        for i, one in enumerate(values):
            for j, other in enumerate(values):
                middle = (one + other) / 2
                region = 1 + (middle > 0.4) - (middle < -0.4)
                regions[:, region] += weights[:, i] * weights[:, j]
        shares = np.bincount(regions.argmax(axis=1), minlength=3) / len(weights)
        result = equivalence(differences, 0.4)
        assert (result.below, result.within, result.above) == pytest.approx(shares, abs=0.02)


@max_examples(12)
@given(
    differences=st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=6),
    margin=st.sampled_from([0.5, 1.0, 2.5]),
)
def test_exchanged_algorithms_exchange_the_sides(differences, margin):
    one = equivalence(differences, margin, samples=500)
    other = equivalence([-each for each in differences], margin, samples=500)
    assert (other.above, other.within, other.below) == (one.below, one.within, one.above)
    assert one.below + one.within + one.above == pytest.approx(1)
    unit = equivalence([1000 * each for each in differences], 1000 * margin, samples=500)
    assert (unit.below, unit.within, unit.above) == (one.below, one.within, one.above)


def test_equal_seeds_give_equal_numbers():
    differences = np.linspace(-1, 2, 9)
    assert equivalence(differences, 0.5) == equivalence(differences, 0.5)
    assert equivalence(differences, 0.5, seed=1) != equivalence(differences, 0.5)


def test_equal_algorithms_are_equivalent():
    assert equivalence([0.0] * 8, 0.01).within == 1.0
    table = [[0.5 + target / 100, 0.5 + target / 100, 0.9] for target in range(8)]
    across = across_targets(table, ["a", "b", "c"], margin=0.01)
    assert across.pair("a", "b").equivalence.within == 1.0
    assert across.pair("a", "c").equivalence.below > 0.99
    assert "P(within) 1.000" in str(across)
    assert across_targets(table, ["a", "b", "c"]).pair("a", "b").equivalence is None


def test_what_cannot_be_computed_is_said():
    nothing = equivalence([math.nan], 0.01)
    assert math.isnan(nothing.within)
    assert str(nothing) == "no difference is defined"
    for margin in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="margin"):
            equivalence([0.1], margin)
        with pytest.raises(InputError, match="margin"):
            across_targets(ROWS, NAMES, margin=margin)
    with pytest.raises(InputError, match="samples"):
        equivalence([0.1], 0.01, samples=0)

"""Welch's test, and the published table of Reptile on retinopathy re-tested by it."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind

from torchcross.errors import InputError
from torchcross.statistics import SummaryOfRuns, holm, welch_test

# Hu, Tomczak and Welling (2018), Table 1: four runs; "±" is read as the standard deviation.
TABLE = Path(__file__).parents[1] / "transfer" / "data" / "reptile_retinopathy.csv"


def test_it_is_the_test_of_scipy():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=4), generator.normal(1, 3, size=6)
    ours, theirs = welch_test(first, second), ttest_ind(first, second, equal_var=False)
    assert (ours.t, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-10)
    assert ours.degrees == pytest.approx(theirs.df, rel=1e-10)
    assert ours.difference == pytest.approx(first.mean() - second.mean())


def test_one_of_the_four_published_comparisons_is_significant():
    with TABLE.open(encoding="utf-8") as file:
        rows = {
            (float(row["fraction"]), row["method"]): SummaryOfRuns(
                float(row["qwk"]), float(row["deviation"]), 4
            )
            for row in csv.DictReader(file)
        }
    tests = {
        (fraction, other): welch_test(rows[fraction, "reptile"], rows[fraction, other])
        for fraction in (0.5, 1.0)
        for other in ("random", "pre-training")
    }
    half = tests[0.5, "random"], tests[0.5, "pre-training"]
    assert [each.t for each in half] == pytest.approx([0.91, 3.08], abs=6e-3)
    assert half[0].p == pytest.approx(0.40, abs=5e-3)
    assert half[1].p == pytest.approx(0.022, abs=5e-4)
    assert tests[1.0, "random"].p == pytest.approx(0.70, abs=5e-3)
    assert tests[1.0, "pre-training"].p == pytest.approx(0.85, abs=5e-3)
    assert sum(each.p < 0.05 for each in tests.values()) == 1
    # Counted as the four tests that they are, none is.
    assert min(holm([each.p for each in tests.values()])) > 0.05


def test_without_spread_nothing_is_said():
    same = welch_test([0.5, 0.5], [0.4, 0.4])
    assert same.difference == pytest.approx(0.1)
    assert math.isnan(same.p)
    # The mean of three of them is another number, by rounding.
    thrice = welch_test([0.1] * 3, [0.5] * 3)
    assert math.isnan(thrice.t)
    assert math.isnan(thrice.p)
    assert SummaryOfRuns.of([0.1] * 3) == SummaryOfRuns(0.1, 0.0, 3)
    with pytest.raises(InputError, match="1 runs have no spread"):
        welch_test([0.5], [0.4, 0.3])
    with pytest.raises(InputError, match="over 1 runs cannot be tested"):
        SummaryOfRuns(0.1, 0.1, 1)
    for deviation in (-0.1, math.nan, math.inf):
        with pytest.raises(InputError, match="give finite numbers"):
            SummaryOfRuns(0.1, deviation, 4)
    with pytest.raises(InputError, match="give finite numbers"):
        welch_test([0.5, math.nan], [0.4, 0.3])

"""The distance of datasets of different sizes: POT's exact plan, against assignments of copies."""

import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from torchcross.transfer.similarity import otdd_of_features
from torchcross.transfer.similarity.dataset_distance import _costs


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("sizes", [(20, 30), (45, 30), (8, 80)])
def test_the_exact_plan(sizes, covariance):
    generator = np.random.default_rng(sum(sizes))
    sides = [
        (generator.normal(size=(size, 5)) + number, np.arange(size) % (number + 2))
        for number, size in enumerate(sizes)
    ]
    whole = math.lcm(*sizes)
    # As many copies as give both sides the same number, at the same weights.
    copies = _costs(*sides, covariance).repeat(whole // sizes[0], 0).repeat(whole // sizes[1], 1)
    expected = math.sqrt(copies[linear_sum_assignment(copies)].mean())
    value = otdd_of_features(*sides[0], *sides[1], covariance).value
    assert value == pytest.approx(expected, abs=1e-9)
    assert otdd_of_features(*sides[1], *sides[0], covariance).value == pytest.approx(value)

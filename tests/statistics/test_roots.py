"""Where functions cross 0."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from torchcross.statistics.roots import crossing


@max_examples(24)
@given(root=st.floats(-690, -1e-6), power=st.sampled_from([0.2, 1, 3, 40]))
def test_crossings_of_rising_and_falling_functions(root, power):
    for sign in (1, -1):

        def function(x, sign=sign):
            return sign * (min(1e300, math.exp(min(600.0, power * (x - root)))) - 1)

        assert crossing(function, -700.0, 0.0, 1e-13) == pytest.approx(root, rel=1e-12, abs=1e-13)


def test_few_steps_are_enough():
    points = []

    def function(x):
        points.append(x)
        return math.exp(-x) - 0.001

    assert crossing(function, 0.0, 700.0, 1e-13) == pytest.approx(math.log(1000), rel=1e-13)
    assert len(points) < 25


def test_of_one_sign_the_nearer_end():
    assert crossing(lambda x: x + 1, 0.0, 2.0, 1e-13) == 0
    assert crossing(lambda x: -x - 1, 0.0, 2.0, 1e-13) == 0
    assert crossing(lambda x: x - 3, 0.0, 2.0, 1e-13) == 2

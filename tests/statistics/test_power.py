"""What Wilcoxon's test with Holm's method can reach at all with so many targets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.records.published_table import NAMES, ROWS
from torchcross.errors import InputError
from torchcross.statistics import across_targets, smallest_wilcoxon_p, targets_needed


@pytest.mark.parametrize("algorithms", [2, 3, 4])
@pytest.mark.parametrize("targets", [3, 6, 9])
def test_the_smallest_p_is_that_of_algorithms_that_never_lose(algorithms, targets):
    names = [f"algorithm {place}" for place in range(algorithms)]
    table = (
        np.arange(targets)[:, None]
        + 10.0 * np.arange(algorithms) * (1 + np.arange(targets))[:, None]
    )
    across = across_targets(table, names)
    smallest = smallest_wilcoxon_p(targets, len(across.pairs))
    assert min(pair.p for pair in across.pairs) == smallest
    can_separate = smallest <= 1 - across.level
    assert can_separate == (targets >= targets_needed(len(across.pairs)))
    assert can_separate == (not any("no pair can be" in text for text in across.warnings))


def test_six_targets_and_four_algorithms():
    assert smallest_wilcoxon_p(6, 6) == 0.1875
    assert (targets_needed(6), targets_needed(1), targets_needed(6, level=0.99)) == (8, 6, 11)
    table = np.arange(24.0).reshape(6, 4)
    (warning,) = across_targets(table, list("abcd")).warnings
    assert "Holm's method over 6 pairs the smallest p is 0.1875 (6 x 2^-5)" in warning
    assert "8 targets would be needed" in warning
    (warning,) = across_targets(table, list("abcd"), level=0.9).warnings
    assert "at 10 %" in warning
    assert "7 targets would be needed" in warning
    assert across_targets(table, list("abcd"), level=0.8).warnings == ()
    # Six times 2^-1 is no p.
    (*_, power, _) = across_targets(table[:2], list("abcd")).warnings
    assert "the smallest p is 1; 8" in power


@max_examples(30)
@given(pairs=st.integers(1, 5000), level=st.floats(0.5, 0.9999))
def test_one_target_fewer_would_not_do(pairs, level):
    needed = targets_needed(pairs, level)
    assert smallest_wilcoxon_p(needed, pairs) <= 1 - level
    assert smallest_wilcoxon_p(needed - 1, pairs) > 1 - level


def test_enough_targets_need_no_warning():
    assert across_targets(ROWS, NAMES).warnings == ()
    assert across_targets(ROWS[:7], NAMES).warnings == ()


def test_impossible_counts_are_refused():
    with pytest.raises(InputError, match="-1 targets"):
        smallest_wilcoxon_p(-1)
    with pytest.raises(InputError, match="0 pairs"):
        targets_needed(0)
    with pytest.raises(InputError, match="level"):
        targets_needed(3, level=1.0)

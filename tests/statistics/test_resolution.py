"""What stands beside a tie: the difference that its test finds, and equivalence by a margin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.records.sample_records import table
from torchcross.errors import InputError
from torchcross.statistics import paired_difference, within_target
from torchcross.statistics.resolution import detectable_difference, equivalence_p

EPISODES = 40


def compare(scores, **more):
    return within_target(table(scores), "ink/shape", "auroc", 5, **more)


@pytest.mark.parametrize("tests", [1, 6])
def test_eight_in_ten_differences_of_the_detectable_size_are_found(tests):
    """The size is that of the noise's own deviation, as a planner would know it."""
    draw, level = np.random.default_rng(0), 0.95
    noise = draw.normal(0, 0.05, EPISODES)
    noise = (noise - noise.mean()) / noise.std(ddof=1) * 0.05
    zero = np.zeros(EPISODES)
    reach = detectable_difference(
        lambda level: paired_difference(noise, zero, level=level), level, tests
    )
    p = [paired_difference(draw.normal(reach, 0.05, EPISODES), zero).p * tests for _ in range(600)]
    assert np.mean(np.array(p) <= 1 - level) == pytest.approx(0.8, abs=0.05)


def test_a_tie_says_what_its_test_would_find():
    draw = np.random.default_rng(1)
    base = draw.normal(0.7, 0.05, EPISODES)
    scores = {name: base + draw.normal(0, 0.02, EPISODES) for name in "abc"}
    scores["worse"] = base - 0.2
    found = compare(scores)
    assert set(found.ties) == set("abc") - {found.best}
    for pair in found.pairs:
        if found.best in pair.names and pair.other(found.best) in found.ties:
            x, y = (scores[name] for name in pair.names)
            # Holm's method asks the smallest p of six tests to be below .05 / 6.
            strict = paired_difference(x, y, level=1 - 0.05 / 6).half
            power = paired_difference(x, y, level=0.6).half
            assert pair.detectable == pytest.approx(strict + power)
            assert found.detectable(pair.other(found.best)) == pair.detectable
        else:
            assert math.isnan(pair.detectable)
    assert f"tie, {found.detectable(found.ties[0]):.3f} is detectable" in str(found)


def test_what_never_varies_detects_nothing():
    found = compare({"a": [0.5, 0.7], "b": [0.5, 0.7]})
    assert found.ties == ("b",)
    assert math.isnan(found.detectable("b"))
    assert "detectable" not in str(found)


def test_several_seeds_are_less_sure():
    draw = np.random.default_rng(2)
    base = draw.normal(0.7, 0.05, EPISODES)
    rows = {
        name: {seed: base + draw.normal(0, 0.02) + draw.normal(0, 0.01, 40) for seed in range(3)}
        for name in "ab"
    }
    one = compare({name: seeds[0] for name, seeds in rows.items()})
    several = compare(rows)
    (tie,) = several.ties
    assert several.detectable(tie) > 0.01
    assert several.one_training is False
    assert one.one_training is True


def test_equivalence_is_two_one_sided_tests():
    from scipy.stats import ttest_1samp

    draw = np.random.default_rng(3)
    base = draw.normal(0.7, 0.05, EPISODES)
    scores = {"a": base, "b": base + draw.normal(0.001, 0.01, EPISODES)}
    difference = scores["a"] - scores["b"]
    for margin in (0.0005, 0.01):
        lower = ttest_1samp(difference, -margin, alternative="greater").pvalue
        upper = ttest_1samp(difference, margin, alternative="less").pvalue
        found = compare(scores, margin=margin)
        assert found.pairs[0].equivalence_p == pytest.approx(max(lower, upper))
        assert found.equivalent == (found.ties if max(lower, upper) <= 0.05 else ())
    assert compare(scores, margin=0.01).equivalent == found.ties
    assert "equivalent within 0.01" in str(compare(scores, margin=0.01))
    assert math.isnan(compare(scores).pairs[0].equivalence_p)


def test_equal_algorithms_are_equivalent_and_separated_ones_have_no_test():
    draw = np.random.default_rng(4)
    base = draw.normal(0.7, 0.05, EPISODES)
    assert compare({"a": base, "b": base}, margin=0.01).equivalent == ("b",)
    apart = compare({"a": base, "b": base - 0.005 + draw.normal(0, 1e-4, EPISODES)}, margin=0.01)
    assert apart.ties == ()
    assert apart.equivalent == ()


def test_a_difference_at_the_margin_is_called_equivalent_in_one_of_twenty():
    draw, margin, zero = np.random.default_rng(5), 0.02, np.zeros(EPISODES)

    def p_of(values):
        return equivalence_p(
            float(values.mean()), margin, lambda number: paired_difference(values - number, zero)
        )

    p = [p_of(draw.normal(margin, 0.05, EPISODES)) for _ in range(600)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.02)


def test_who_has_nothing_to_train_needs_no_second_seed():
    draw = np.random.default_rng(6)
    scores = {name: draw.random(EPISODES) for name in ("fixed", "other", "trained")}
    fixed = {name: scores[name] for name in ("fixed", "other")}
    assert compare(scores, untrained=["fixed", "other"]).one_training
    alone = compare(fixed, untrained=["fixed", "other"])
    assert not alone.one_training
    assert "nothing was trained: one seed is all there is" in alone.notes
    assert "one training each" not in str(alone)
    assert "one training each" in str(compare(fixed))


@pytest.mark.parametrize("margin", [0, -0.1, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(InputError, match="margin of equivalence"):
        compare({"a": [0.5, 0.6], "b": [0.5, 0.7]}, margin=margin)


def test_a_test_that_would_miss_the_whole_scale_finds_no_difference():
    draw = np.random.default_rng(4)
    scores = {name: draw.integers(0, 2, 3).astype(float) for name in "abc"}
    scores["a"], scores["b"] = np.array([0.0, 1.0, 0.9]), np.array([1.0, 0.0, 0.1])
    result = compare(scores)
    assert math.inf in [result.detectable(name) for name in result.ties]
    assert "no difference is detectable" in str(result)

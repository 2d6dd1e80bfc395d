"""Intervals and tests over images: a dense computation, invariances, and where there are none."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, stats

from tests.examples import max_examples
from tests.statistics.drawn import draws_of, overlapping_draws, scores_by_images
from torchcross.errors import InputError
from torchcross.records import EpisodeRecord, Records
from torchcross.statistics import (
    Draws,
    hierarchical_interval,
    mean_interval,
    paired_difference,
    seeded_difference,
    within_target,
)
from torchcross.statistics import overlap as overlap_module
from torchcross.statistics.image_effects import ImageLaw, image_law
from torchcross.statistics.overlap import overlap_of

nan = math.nan


def law_of(values, draws: Draws) -> ImageLaw:
    overlap = overlap_of(draws, draws.episode_numbers)
    assert not isinstance(overlap, str)
    return image_law(np.asarray(values), overlap)


def dense_p(values, draws: Draws, mean: float) -> float:
    """The two-sided p by whole matrices: contrasts, determinants and inverses."""
    numbers, units = draws.episode_numbers, np.arange(len(draws.drawn))
    if draws.subjects is not None:
        units = np.unique(draws.subjects, return_inverse=True)[1]
    strata = np.where(draws.stratum_images[draws.strata] < 10, 99, draws.strata)
    strata = np.unique(strata, return_inverse=True)[1]
    E = len(numbers)
    counts, totals = np.zeros((E, units.max() + 1)), np.zeros((E, strata.max() + 1))
    in_units = np.zeros((strata.max() + 1, units.max() + 1))
    for episode, image in zip(draws.episodes, draws.images, strict=True):
        row, place = np.flatnonzero(numbers == episode), np.flatnonzero(draws.drawn == image)
        counts[row, units[place]] += 1
        totals[row, strata[place]] += 1
        in_units[strata[place], units[place]] += 1
    residuals = counts - totals @ (in_units / in_units.sum(axis=1, keepdims=True))
    diagonal = (counts**2).sum() / E
    contrasts = linalg.helmert(E)
    shared = contrasts @ residuals @ residuals.T @ contrasts.T / diagonal
    y = contrasts @ values
    logs, tails = [], []
    for h in (np.arange(128) + 0.5) / 128 * 0.97:
        V = h * shared + (1 - h) * np.eye(E - 1)
        quadratic = y @ np.linalg.solve(V, y)
        logs.append(-(np.linalg.slogdet(V)[1] + (E - 1) * np.log(quadratic)) / 2)
        of_mean = h * (counts @ counts.T).mean() / diagonal + (1 - h) / E
        error = np.sqrt(quadratic / (E - 1) * of_mean)
        tails.append(2 * stats.t(E - 1).sf(abs(mean) / error))
    weights = np.exp(np.array(logs) - max(logs))
    return float(weights @ tails / weights.sum())


def uneven_draws(rng) -> Draws:
    """Episodes of various sizes, with a rare stratum, and subjects over two images each."""
    strata = np.array([0] * 30 + [1] * 20 + [2] * 3 + [3] * 2)
    rows = [rng.choice(55, rng.integers(8, 16), replace=False) for _ in range(25)]
    return draws_of(rows, strata, np.arange(55) // 2)


DRAWS = {
    "more images": {"episodes": 24, "images": 30, "drawn": 6},
    "more episodes": {"episodes": 40, "images": 12, "drawn": 5},
    "subjects": {"episodes": 30, "images": 24, "drawn": 6, "images_of_subject": 4},
    "three classes": {"episodes": 24, "images": 10, "drawn": 4, "classes": 3},
}


@pytest.mark.parametrize("name", [*DRAWS, "uneven"])
def test_the_law_is_that_of_whole_matrices(name):
    rng = np.random.default_rng(1)
    draws = uneven_draws(rng) if name == "uneven" else overlapping_draws(rng, **DRAWS[name])
    values = scores_by_images(rng, draws, 0.6)
    law = law_of(values, draws)
    for mean in (0.01, 0.04, 0.2):
        assert law.p_of(mean) == pytest.approx(dense_p(values, draws, mean), rel=1e-8)


@max_examples(9)
@given(level=st.floats(0.5, 0.999), by_seed=st.floats(0, 1e-3), seeds=st.integers(1, 5))
def test_the_interval_ends_where_p_says(level, by_seed, seeds):
    law = ImageLaw(np.array([0.2, 0.8]), np.array([0.1, 0.02]), 30, by_seed=by_seed, seeds=seeds)
    assert law.p_of(law.half(level)) == pytest.approx(1 - level, rel=1e-6)
    assert law.p_of(-law.half(level)) == pytest.approx(1 - level, rel=1e-6)
    assert law.p_of(0.0) == 1


@max_examples(9)
@given(seed=st.integers(0, 99), scale=st.sampled_from([1.0, -3.0, 1e-200, 1e200]))
def test_names_and_orders_do_not_matter(seed, scale):
    rng = np.random.default_rng(seed)
    draws = overlapping_draws(rng, episodes=22, images=12, drawn=4, images_of_subject=2)
    values = scale * scores_by_images(rng, draws, 0.4)
    interval = mean_interval(values, draws=draws)
    order = rng.permutation(22)
    assert repr(mean_interval(values[order], draws=draws, episodes=order)) == repr(interval)
    assert draws.subjects is not None
    names, subject_names = rng.permutation(1000), rng.permutation(1000)
    drawn = names[draws.drawn]
    ascending = np.argsort(drawn)
    other = Draws(
        3 * draws.episodes + 5,
        names[draws.images],
        draws.is_query,
        drawn[ascending],
        1 - draws.strata[ascending],
        draws.stratum_images[::-1],
        subject_names[draws.subjects][ascending],
        draws.stratum_subjects,
    )
    renamed = mean_interval(values, draws=other)
    assert (renamed.low, renamed.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_an_interval_over_images_states_both():
    rng = np.random.default_rng(2)
    draws = overlapping_draws(rng, episodes=60, images=30, drawn=10)
    values = scores_by_images(rng, draws, 0.7)
    wide, narrow = mean_interval(values, draws=draws), mean_interval(values)
    assert (wide.over, wide.method, wide.note) == ("images", "image effects", "")
    assert wide.these_images == narrow
    assert narrow.over == "episodes"
    assert wide.half > 2 * narrow.half
    assert wide.mean == narrow.mean
    difference = paired_difference(values, values[::-1], draws=draws)
    assert (difference.over, difference.test) == ("images", "image effects")
    assert difference.these_images == paired_difference(values, values[::-1])
    shifted = paired_difference(values, values[::-1] - 0.05, draws=draws)
    assert shifted.these_images is not None
    assert shifted.p > shifted.these_images.p
    level = 1 - shifted.p
    assert paired_difference(
        values, values[::-1] - 0.05, level=level, draws=draws
    ).low == pytest.approx(0, abs=1e-12)


def test_undefined_values_take_their_episodes_along():
    rng = np.random.default_rng(3)
    draws = overlapping_draws(rng, episodes=30, images=12, drawn=4)
    values = scores_by_images(rng, draws, 0.5)
    kept = mean_interval(values[4:], draws=draws, episodes=np.arange(4, 30))
    values[:4] = nan
    interval = mean_interval(values, draws=draws)
    assert (interval.low, interval.high, interval.n) == (kept.low, kept.high, 26)
    assert interval.undefined == 4
    assert interval.these_images is not None


def test_disjoint_episodes_are_as_before():
    rng = np.random.default_rng(4)
    values = rng.normal(0.7, 0.1, 30)
    draws = draws_of(np.arange(90).reshape(30, 3), [0] * 90)
    interval = mean_interval(values, draws=draws, method="bca")
    plain = mean_interval(values, method="bca")
    assert (interval.low, interval.high, interval.method) == (plain.low, plain.high, "bca")
    assert (interval.over, interval.these_images, interval.note) == ("images", None, "")
    difference = paired_difference(values, values[::-1], draws=draws)
    assert difference.p == paired_difference(values, values[::-1]).p
    # Episodes that share no image share subjects all the same.
    related = draws_of(np.arange(90).reshape(30, 3), [0] * 90, np.arange(90) % 7)
    assert mean_interval(values, draws=related).method == "subject effects"


def same_support(episodes):
    return [[0, 1, 2, 3, 4, 5, 6 + episode] for episode in range(episodes)]


NONE = [
    (draws_of(np.arange(19)[:, None] // 2 + [[0, 50]], [0] * 100), "19 episodes are fewer than 20"),
    (draws_of(np.arange(24)[:, None] + [[0, 1]], [0] * 30, [3] * 30), "all images are of one sub"),
    (draws_of(same_support(25), [0] * 40), "two episodes share 86% of their images, nearly all"),
    (draws_of([[0, 1, 2]] * 25, [0] * 3), "two episodes share 100% of their images"),
]


@pytest.mark.parametrize(("draws", "reason"), NONE)
def test_where_images_cannot_be_told_from_episodes(draws, reason):
    n = len(draws.episode_numbers)
    values = np.random.default_rng(5).normal(size=n)
    interval, plain = mean_interval(values, draws=draws), mean_interval(values)
    assert (interval.low, interval.high, interval.over) == (plain.low, plain.high, "episodes")
    assert interval.note.startswith(f"no interval over images: {reason}")
    difference = paired_difference(values, np.zeros(n), draws=draws)
    assert (difference.p, difference.test) == (paired_difference(values, [0.0] * n).p, "paired t")
    assert difference.note.startswith(f"no interval over images: {reason}")


def test_images_of_every_episode_are_named():
    rows = [[0, *rng_row] for rng_row in np.random.default_rng(6).integers(1, 40, (30, 5))]
    rows = [np.unique(row) for row in rows]
    interval = mean_interval(np.arange(30.0), draws=draws_of(rows, [0] * 40))
    assert interval.over == "images"
    assert interval.note == (
        "1 image is in nearly every episode: its effect is taken from the others'"
    )


@pytest.mark.parametrize("values", [[0.5], [nan] * 3, [0.5] * 30])
def test_nothing_that_varies(values):
    draws = draws_of(np.arange(len(values))[:, None] + [[0, 1]], [0] * 40)
    interval, plain = mean_interval(values, draws=draws), mean_interval(values)
    assert repr(interval) == repr(plain)
    assert paired_difference(values, values, draws=draws).over == "episodes"


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        (None, "there are 3 values and 25 episodes"),
        ([0, 1], "there are 3 values and 2 episodes"),
        ([0, 1, 1], "an episode stands twice"),
        ([0, 1, 77], "the draws have no episode 77"),
        ([0.0, 1.0, 2.0], "episodes are float64"),
        ([[0, 1, 2]], "of shape"),
    ],
)
def test_draws_of_other_episodes_are_refused(episodes, message):
    draws = draws_of(np.arange(25)[:, None] + [[0, 1]], [0] * 40)
    with pytest.raises(InputError, match=message):
        mean_interval([0.1, 0.2, 0.3], draws=draws, episodes=episodes)


def test_what_is_no_draws_is_refused():
    with pytest.raises(InputError, match="draws are a dict; give Draws"):
        mean_interval([0.1, 0.2], draws={"episodes": [0, 1]})  # type: ignore[arg-type]


def test_what_images_contribute_does_not_shrink_with_seeds():
    rng = np.random.default_rng(7)
    draws = overlapping_draws(rng, episodes=60, images=30, drawn=10)
    values = scores_by_images(rng, draws, 0.9)
    one = mean_interval(values, draws=draws)
    rows = [values + 1e-4 * rng.normal(size=60) for _ in range(12)]
    many = hierarchical_interval(rows, draws=draws, resamples=99)
    assert many.half == pytest.approx(one.half, rel=0.05)
    assert many.these_images == hierarchical_interval(rows, resamples=99)
    apart = [values + shift for shift in (-0.1, 0.0, 0.1)]
    combined = hierarchical_interval(apart, draws=draws, resamples=99)
    of_seeds = stats.t(2).ppf(0.975) * 0.1 / np.sqrt(3)
    assert combined.half == pytest.approx(math.hypot(one.half, of_seeds), rel=1e-6)
    difference = seeded_difference(apart, draws=draws)
    assert difference.half == pytest.approx(combined.half, rel=1e-6)
    assert (difference.over, difference.test) == ("images", "image effects")
    ends = seeded_difference(apart, draws=draws, level=1 - difference.p)
    assert ends.low == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match="episodes that all training seeds share"):
        seeded_difference(apart, draws=draws, shared_episodes=False)


def test_a_large_source_takes_no_dense_table():
    rng = np.random.default_rng(8)
    mean_interval(np.arange(25.0), draws=draws_of(np.arange(25)[:, None] + [[0, 1]], [0] * 40))
    rows = [rng.choice(100_000, 300, replace=False) for _ in range(100)]
    draws = draws_of(rows, [0] * 100_000)
    values = scores_by_images(rng, draws, 0.1)
    tracemalloc.start()
    assert mean_interval(values, draws=draws).over == "images"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20  # 100 x 100,000 numbers are 76 MB


def test_many_episodes_are_thinned_for_the_share_alone(monkeypatch):
    monkeypatch.setattr(overlap_module, "MOST_DIRECTIONS", 60)
    rng = np.random.default_rng(9)
    draws = overlapping_draws(rng, episodes=120, images=200, drawn=3)
    values = scores_by_images(rng, draws, 0.5)
    overlap = overlap_of(draws, draws.episode_numbers)
    assert not isinstance(overlap, str)
    assert (len(overlap.sample), overlap.sample[-1]) == (60, 119)
    interval = mean_interval(values, draws=draws)
    assert interval.n == 120
    assert interval.these_images is not None
    assert 1 < interval.half / interval.these_images.half < 1.6
    single = np.where(np.arange(120) == 1, 0.5, 1.0)
    assert 1 not in overlap.sample
    alone = mean_interval(single, draws=draws)
    assert alone == replace(mean_interval(single), note=alone.note)
    assert alone.note.endswith("the 60 episodes that stand for all have equal scores")


def records_of(rows, seeds=1):
    return Records.of(
        EpisodeRecord("run", "target", "domain", name, 5, seed, episode, "auroc", value)
        for name, values in rows.items()
        for seed in range(seeds)
        for episode, value in enumerate(values + 0.001 * seed * np.cos(np.arange(len(values))))
    )


@pytest.mark.parametrize("seeds", [1, 2])
def test_marks_within_a_target_are_over_images(seeds):
    rng = np.random.default_rng(10)
    draws = overlapping_draws(rng, episodes=60, images=25, drawn=10)
    first = 0.1 + scores_by_images(rng, draws, 0.8).clip(0, 0.89)
    second = first - 0.03 - 0.3 * (scores_by_images(rng, draws, 0.8) - 0.7)
    records = records_of({"first": first.clip(0, 1), "second": second.clip(0, 1)}, seeds)
    options = {"target": "target", "metric": "auroc", "shots": 5}
    plain = within_target(records, **options)
    names = ("first", "second")
    both = within_target(records, **options, draws=dict.fromkeys(names, draws))
    assert {row.interval.over for row in plain.rows} == {"episodes"}
    for row, narrow in zip(both.rows, plain.rows, strict=True):
        assert row.interval.over == "images"
        assert row.interval.these_images is not None
        assert row.interval.these_images.half == narrow.interval.half
        assert row.interval.half > 1.5 * narrow.interval.half
        assert row.interval.high < 1
    (wide,), (pair,) = both.pairs, plain.pairs
    assert wide.p > 3 * pair.p
    assert wide.difference.these_images is not None
    assert wide.difference.these_images.p == pair.difference.p
    alone = within_target(records, **options, draws={"second": draws})
    assert [row.interval.over for row in alone.rows] == ["episodes", "images"]

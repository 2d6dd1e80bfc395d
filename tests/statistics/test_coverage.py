"""A small, seeded version of `benchmarks.coverage`."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage import measure
from benchmarks.equal_algorithms import KINDS, Setting, generator, repetition
from benchmarks.image_estimators import jackknife_variance
from tests.statistics.drawn import overlapping_draws


def test_intervals_over_images_cover_where_those_over_episodes_do_not():
    measured = measure(Setting("binary", images=50, episodes=60, shots=5), 60)
    assert measured.coverage[0] >= 0.85
    assert measured.coverage[1] < 0.6
    assert measured.unlike[0] <= 0.12
    assert measured.unlike[1] > 0.4
    assert measured.alike[0] <= measured.alike[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [1, 2])
def test_every_kind_draws_what_it_says(kind, seeds):
    setting = Setting(kind, images=40, episodes=5, shots=2, seeds=seeds)
    one = repetition(setting, generator(setting))
    assert one.scores.shape == (3, seeds, 5)
    assert np.isfinite(one.scores).all()
    assert one.draws.episode_numbers.tolist() == list(range(5))
    again = repetition(setting, generator(setting))
    assert again.draws == one.draws
    assert (again.scores == one.scores).all()
    if kind == "subjects":
        assert one.draws.subjects is not None
        for episode in range(5):
            drawn = one.draws.episodes == episode
            places = np.searchsorted(one.draws.drawn, one.draws.images[drawn])
            subjects, is_query = one.draws.subjects[places], one.draws.is_query[drawn]
            assert not set(subjects[is_query]) & set(subjects[~is_query])


def test_the_jackknife_is_the_published_formula():
    rng = np.random.default_rng(0)
    draws = overlapping_draws(rng, episodes=40, images=20, drawn=6)
    values = rng.normal(size=40)
    total = 0.0
    for image in range(40):
        drew = np.isin(np.arange(40), draws.episodes[draws.images == image]).astype(float)
        squared = np.mean((drew - drew.mean()) * (values - values.mean())) ** 2
        by_chance = drew.var() * values.var() / 40
        total += (squared - by_chance) * (19 / 20) * (20 / 14) ** 2
    assert jackknife_variance(values, draws) == pytest.approx(total)

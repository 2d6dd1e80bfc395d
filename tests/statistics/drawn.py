"""Draws of episodes that share images, for tests of statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross.statistics import Draws


def draws_of(
    images: Any, strata: Any, subjects: Any = None, *, episodes: Any = None, support: int = 1
) -> Draws:
    """Draws of rows of images, one for each episode; strata and subjects are of all images."""
    rows = [np.asarray(row) for row in images]
    numbers = np.arange(len(rows)) if episodes is None else np.asarray(episodes)
    lengths = [len(row) for row in rows]
    drawn = np.unique(np.concatenate(rows))
    strata = np.asarray(strata)
    more = {}
    if subjects is not None:
        subjects = np.asarray(subjects)
        pairs = np.unique(np.stack([strata, subjects]), axis=1)
        more = {"subjects": subjects[drawn], "stratum_subjects": np.bincount(pairs[0])}
    return Draws(
        np.repeat(numbers, lengths),
        np.concatenate(rows),
        np.concatenate([np.arange(length) >= support for length in lengths]),
        drawn,
        strata[drawn],
        np.bincount(strata),
        **more,
    )


def overlapping_draws(
    rng: np.random.Generator,
    *,
    episodes: int,
    images: int,
    drawn: int,
    classes: int = 2,
    images_of_subject: int = 0,
) -> Draws:
    """Episodes that draw so many images of each class, of so many."""
    rows = [
        np.concatenate(
            [c * images + rng.choice(images, drawn, replace=False) for c in range(classes)]
        )
        for _ in range(episodes)
    ]
    subjects = np.arange(classes * images) // images_of_subject if images_of_subject else None
    return draws_of(rows, np.arange(classes).repeat(images), subjects)


def scores_by_images(rng: np.random.Generator, draws: Draws, share: float) -> NDArray[np.float64]:
    """Scores with a standard deviation of .1, of whose variance images make this share."""
    effects = rng.normal(size=len(draws.drawn))
    rows = np.searchsorted(draws.episode_numbers, draws.episodes)
    sums = np.bincount(rows, weights=effects[np.searchsorted(draws.drawn, draws.images)])
    sizes = np.bincount(rows)
    rest = rng.normal(size=len(sums))
    return 0.7 + 0.1 * (np.sqrt(share / sizes) * sums + np.sqrt(1 - share) * rest)

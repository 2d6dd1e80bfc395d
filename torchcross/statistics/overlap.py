"""How much the episodes of a target have in common, as the matrix of a variance model.

Let N be the matrix of episodes by images, 1 where an episode drew an image; with subjects, episodes
by subjects, the number of images that an episode drew of a subject. N N' counts what two episodes
share. R is N minus what is expected of an episode that drew so many images of each stratum:
R = N - M P, where M counts the draws of each stratum in each episode, and a row of P has the shares
of its images in all draws of the stratum. Strata of few images are one: the images of a pattern of
labels that occurs once would have no effect that differs from their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross.statistics.draws import Draws

Floats = NDArray[np.float64]
FEWEST_EPISODES: Final = 20
"""Of fewer episodes nothing can be said of what images contribute."""

MOST_DIRECTIONS: Final = 1000
"""Where episodes and images are both more, as many episodes, evenly spaced, stand for all in h."""

MOST_EPISODES: Final = 10_000
"""The same where images are fewer."""

RARE: Final = 10
"""Strata of fewer images are pooled."""

_ROUNDING: Final = 1e-9

LARGEST_SHARE: Final = 0.8
"""Where two episodes share more of their images, effects of images hardly differ by episode."""


@final
@dataclass(frozen=True, eq=False, slots=True)
class Overlap:
    """What episodes share, in the form in which the restricted likelihood needs it.

    K is N N' over the mean of its diagonal, and `shared` the mean of all its entries. The rows of
    `directions` are the eigenvectors of R R' (over the same mean) whose `eigenvalues` are not 0.
    `sample` are the places of the episodes in them: all, or evenly spaced ones.
    """

    shared: float
    eigenvalues: Floats
    directions: Floats
    sample: Indices
    by_subject: bool
    note: str


def overlap_of(draws: Draws, episodes: Indices) -> Overlap | str:
    """The overlap of these episodes; a sentence where it does not give an interval over images.

    An empty sentence: no two episodes share anything.
    """
    return _overlap(draws, episodes.tobytes())


@lru_cache(maxsize=16)
def _overlap(draws: Draws, episodes: bytes) -> Overlap | str:
    """Cached, because all algorithms of a target have the same draws."""
    numbers = np.frombuffer(episodes, dtype=np.int64)
    units, by_subject = _units(draws)
    counts = _counts(draws, numbers, units)
    totals = np.asarray(counts.sum(axis=0)).ravel()
    squares = float(counts.multiply(counts).sum())
    if float(totals @ totals) <= squares * (1 + 1e-12):
        return ""
    shared = float(totals @ totals) / len(numbers) / squares
    if problem := _problem(len(numbers), counts.shape[1], shared, by_subject):
        return problem
    limit = MOST_DIRECTIONS if counts.shape[1] > MOST_DIRECTIONS else MOST_EPISODES
    sample = np.arange(len(numbers))
    if len(numbers) > limit:
        sample = np.linspace(0, len(numbers) - 1, limit).astype(np.int64)
    per_episode = squares / len(numbers)
    eigenvalues, directions = _spectrum(draws, numbers[sample], units)
    return Overlap(
        shared,
        read_only(eigenvalues / per_episode),
        read_only(directions),
        read_only(sample),
        by_subject,
        _note(counts, by_subject),
    )


def _units(draws: Draws) -> tuple[Indices, bool]:
    """The unit of each drawn image: its subject, or itself where it has none."""
    own = np.arange(len(draws.drawn))
    if draws.subjects is None or (draws.subjects < 0).all():
        return own, False
    alone = draws.subjects < 0
    labels = np.where(alone, own + draws.subjects.max() + 1, draws.subjects)
    units: Indices = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return units, True


def _counts(draws: Draws, numbers: Indices, columns: Indices) -> Any:
    """A sparse matrix of the episodes by the columns of the drawn images."""
    # SciPy is slow to import, and most programs never need it.
    from scipy import sparse

    rows = np.searchsorted(numbers, draws.episodes)
    rows = np.minimum(rows, len(numbers) - 1)
    wanted = numbers[rows] == draws.episodes
    places = columns[np.searchsorted(draws.drawn, draws.images[wanted])]
    shape = (len(numbers), int(columns.max()) + 1)
    ones = np.ones(len(places))
    return sparse.coo_matrix((ones, (rows[wanted], places)), shape=shape).tocsr()


def _spectrum(draws: Draws, numbers: Indices, units: Indices) -> tuple[Floats, Floats]:
    """The eigenvalues of R R' that are not 0, and their eigenvectors as rows.

    Columns of R sum to 0, since what is expected of all episodes is what they drew.
    """
    strata_of_images = _pooled_strata(draws)
    counts, strata = _counts(draws, numbers, units), _counts(draws, numbers, strata_of_images)
    shares = _shares_of_strata(draws, numbers, strata_of_images, units)
    if counts.shape[1] < len(numbers):
        # R'R is the smaller matrix. It has the same eigenvalues.
        residuals = counts.toarray() - (strata @ shares).toarray()
        values, vectors = np.linalg.eigh(residuals.T @ residuals)
        kept = values > _ROUNDING * values[-1]
        return values[kept], ((residuals @ vectors[:, kept]) / np.sqrt(values[kept])).T
    crossed = (strata @ (shares @ counts.T)).toarray()
    expected = (strata @ (shares @ shares.T) @ strata.T).toarray()
    products = (counts @ counts.T).toarray() - crossed - crossed.T + expected
    values, vectors = np.linalg.eigh(products)
    kept = values > _ROUNDING * values[-1]
    return values[kept], vectors[:, kept].T


def _pooled_strata(draws: Draws) -> Indices:
    """The stratum of each drawn image, where rare strata are one."""
    rare = draws.stratum_images[draws.strata] < RARE
    return np.where(rare, len(draws.stratum_images), draws.strata)


def _shares_of_strata(draws: Draws, numbers: Indices, strata: Indices, units: Indices) -> Any:
    """P: the share of each unit in all draws of each stratum."""
    from scipy import sparse

    drawn = _counts(draws, numbers, np.arange(len(draws.drawn))).sum(axis=0)
    drawn = np.asarray(drawn).ravel()
    sums = np.maximum(1, np.bincount(strata, weights=drawn))[strata]
    shape = (int(strata.max()) + 1, int(units.max()) + 1)
    return sparse.coo_matrix((drawn / sums, (strata, units)), shape=shape).tocsr()


def _problem(episodes: int, units: int, shared: float, by_subject: bool) -> str:
    """Why images cannot be told from episodes, or ""."""
    if episodes < FEWEST_EPISODES:
        return f"{episodes} episodes are fewer than {FEWEST_EPISODES}"
    if by_subject and units == 1:
        return "all images are of one subject"
    if shared > LARGEST_SHARE:
        noun = "subjects" if by_subject else "images"
        return f"two episodes share {shared:.0%} of their {noun}, nearly all"
    return ""


def _note(counts: Any, by_subject: bool) -> str:
    """What stands in for effects that no episode is without."""
    always = np.count_nonzero(np.asarray((counts > 0).mean(axis=0)) > LARGEST_SHARE)
    if by_subject or not always:
        return ""
    if always == 1:
        return "1 image is in nearly every episode: its effect is taken from the others'"
    return f"{always} images are in nearly every episode: their effects are taken from the others'"

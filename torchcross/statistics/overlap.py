"""How much the episodes of a target have in common, as the matrix of a variance model.

Let N be the matrix of episodes by images, 1 where an episode drew an image; with subjects, episodes
by subjects, the number of images that an episode drew of a subject. N N' counts what two episodes
share. R is N minus what is expected of an episode that drew so many images of each stratum:
R = N - M P, where M counts the draws of each stratum in each episode, and a row of P has the shares
of its images in all draws of the stratum.
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

MOST_EPISODES: Final = 2000
"""Of more episodes as many, evenly spaced, say how the variance divides."""

LARGEST_SHARE: Final = 0.8
"""Where an episode draws a larger share of the images, their effects do not differ by episode."""


@final
@dataclass(frozen=True, eq=False, slots=True)
class Overlap:
    """What episodes share, in the form in which the restricted likelihood needs it.

    `per_episode` is the mean of the diagonal of N N', `shared` the mean of all its entries over
    `per_episode`. The rows of `directions` are the eigenvectors of the centred R R', of which
    `eigenvalues` are over `per_episode` too; `sample` are the places of the episodes in them.
    """

    per_episode: float
    shared: float
    eigenvalues: Floats
    directions: Floats
    sample: Indices
    by_subject: bool


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
    if problem := _problem(draws, numbers, counts, by_subject):
        return problem
    sample = np.arange(len(numbers))
    if len(numbers) > MOST_EPISODES:
        sample = np.linspace(0, len(numbers) - 1, MOST_EPISODES).astype(np.int64)
    per_episode = squares / len(numbers)
    centred = _residual_products(draws, numbers[sample], units)
    # The constant direction is left out. Raised above all others it is the last one.
    raised = centred + (1.0 + float(np.trace(centred))) / len(sample)
    values, vectors = np.linalg.eigh(raised)
    values, vectors = values[:-1] / per_episode, vectors[:, :-1].T
    return Overlap(
        per_episode,
        float(totals @ totals) / len(numbers) ** 2 / per_episode,
        read_only(np.maximum(values, 0.0)),
        read_only(vectors),
        read_only(sample),
        by_subject,
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
    from scipy import sparse  # type: ignore[import-untyped]

    rows = np.searchsorted(numbers, draws.episodes)
    rows = np.minimum(rows, len(numbers) - 1)
    wanted = numbers[rows] == draws.episodes
    places = columns[np.searchsorted(draws.drawn, draws.images[wanted])]
    shape = (len(numbers), int(columns.max()) + 1)
    ones = np.ones(len(places))
    return sparse.coo_matrix((ones, (rows[wanted], places)), shape=shape).tocsr()


def _residual_products(draws: Draws, numbers: Indices, units: Indices) -> Floats:
    """The centred R R'."""
    from scipy import sparse

    counts = _counts(draws, numbers, units)
    in_strata = _counts(draws, numbers, draws.strata).toarray()
    drawn = np.bincount(
        np.searchsorted(draws.drawn, draws.images[np.isin(draws.episodes, numbers)]),
        minlength=len(draws.drawn),
    )
    sums = np.maximum(1, np.bincount(draws.strata, weights=drawn))[draws.strata]
    shape = (in_strata.shape[1], counts.shape[1])
    shares = sparse.coo_matrix((drawn / sums, (draws.strata, units)), shape=shape).tocsr()
    products = (counts @ counts.T).toarray()
    crossed = in_strata @ (shares @ counts.T).toarray()
    expected = in_strata @ (shares @ shares.T).toarray() @ in_strata.T
    residual: Floats = products - crossed - crossed.T + expected
    residual -= residual.mean(axis=0)
    residual -= residual.mean(axis=1)[:, None]
    return residual


def _problem(draws: Draws, numbers: Indices, counts: Any, by_subject: bool) -> str:
    """Why images cannot be told from episodes, or ""."""
    if len(numbers) < FEWEST_EPISODES:
        return f"{len(numbers)} episodes are fewer than {FEWEST_EPISODES}"
    if by_subject and counts.shape[1] == 1:
        return "all images are of one subject"
    in_strata = _counts(draws, numbers, draws.strata)
    means = np.asarray(in_strata.mean(axis=0)).ravel()
    drawn_shares = means / np.maximum(1, draws.stratum_images[: len(means)])
    if float(means @ (drawn_shares > LARGEST_SHARE)) > 0.5 * float(means.sum()):
        stratum = int(np.argmax(drawn_shares))
        return (
            f"an episode draws {means[stratum]:.3g} of {draws.stratum_images[stratum]} images of a"
            " class, nearly all"
        )
    often = np.asarray((counts > 0).mean(axis=0)).ravel()
    weights = np.asarray(counts.multiply(counts).sum(axis=0)).ravel()
    if float(weights @ (often > LARGEST_SHARE)) > 0.5 * float(weights.sum()):
        noun = "subjects" if by_subject else "images"
        return f"the same {noun} are in nearly every episode"
    return ""

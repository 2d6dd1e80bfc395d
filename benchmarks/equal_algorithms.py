"""Algorithms that are equally good on the population, and episodes that share images, in numpy.

A repetition draws images from a population, episodes from these images, and scores three learners
on them. Each learner sees two dimensions with signal and eight with noise of its own. The first two
learners share their signal, so that the same images are hard for both (a pair that is alike). The
third has a signal of its own (a pair that is unlike). By symmetry all three have the same expected
score. With several training seeds every seed weighs the dimensions at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from torchcross.statistics import Draws

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
SIGNAL, NOISE = 2, 8
QUERIES: Final = 10
_LEARNERS = 3
_LABELS = 3
_RIDGE = 4.0
_TRAINING_SPREAD = 0.4


@dataclass(frozen=True)
class Setting:
    """One cell of the table. `images` are those of a class; there are `shots` of each class."""

    kind: str
    images: int
    episodes: int
    shots: int
    seeds: int = 1


@dataclass(frozen=True)
class Repetition:
    """`scores` of learners, training seeds and episodes, and what the episodes drew."""

    scores: Floats
    draws: Draws


def repetition(setting: Setting, rng: np.random.Generator) -> Repetition:
    """One data set, its episodes and their scores."""
    return _KINDS[setting.kind](setting, rng)


def generator(setting: Setting) -> np.random.Generator:
    """The generator of a cell: its repetitions are the same whatever else is run."""
    return np.random.default_rng([KINDS.index(setting.kind), *astuple(setting)[1:]])


# -- one class for each image ----------------------------------------------------------------------


def _binary(setting: Setting, rng: np.random.Generator, distance: float = 1.2) -> Repetition:
    means = np.array([[-0.5, -0.5], [0.5, 0.5]]) * distance / np.sqrt(2)
    return _partition(setting, rng, means, _nearest_mean_auroc)


def _near_one(setting: Setting, rng: np.random.Generator) -> Repetition:
    return _binary(setting, rng, distance=4.0)


def _multiclass(setting: Setting, rng: np.random.Generator) -> Repetition:
    means = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    return _partition(setting, rng, means, _nearest_mean_accuracy)


def _ordinal(setting: Setting, rng: np.random.Generator) -> Repetition:
    means = np.arange(4.0)[:, None] * np.array([[0.8, 0.8]])
    return _partition(setting, rng, means, _ridge_error)


def _partition(
    setting: Setting,
    rng: np.random.Generator,
    means: Floats,
    score: Callable[[Floats, Floats, Numbers], Floats],
) -> Repetition:
    classes, n, drawn = len(means), setting.images, setting.shots + QUERIES
    X = _features(rng, np.repeat(means, n, axis=0)).reshape(_LEARNERS, classes, n, -1)
    order = rng.random((setting.episodes, classes, n))
    places = np.argpartition(order, drawn - 1, axis=-1)[..., :drawn]
    images = places + np.arange(classes)[:, None] * n
    strata = np.arange(classes).repeat(n)
    return Repetition(
        _scores(setting, rng, X.reshape(_LEARNERS, classes * n, -1), images, score),
        _draws_of(setting, images, strata, None),
    )


def _subjects(setting: Setting, rng: np.random.Generator) -> Repetition:
    """Subjects of one to seven images, which are alike; no subject is on both sides."""
    n, k = setting.images, setting.shots
    subjects, effects = [], []
    for c in range(2):
        sizes = rng.integers(1, 8, n)
        of_class = np.arange(n).repeat(sizes)[:n]
        subjects.append(of_class + c * n)
        effects.append(rng.normal(size=(n, _width()))[of_class])
    means = np.array([[-0.6, -0.6], [0.6, 0.6]]).repeat(n, axis=0)
    X = _features(rng, means, np.concatenate(effects))
    images = np.empty((setting.episodes, 2, k + QUERIES), dtype=np.int64)
    for c, of_class in enumerate(subjects):
        side = _query_side(rng, setting.episodes, of_class - c * n)
        order = rng.random(side.shape)
        support = np.argsort(order + side, axis=-1)[:, :k]
        query = np.argsort(order + ~side, axis=-1)[:, :QUERIES]
        images[:, c] = np.concatenate([support, query], axis=-1) + c * n
    strata = np.arange(2).repeat(n)
    return Repetition(
        _scores(setting, rng, X, images, _nearest_mean_auroc),
        _draws_of(setting, images, strata, np.concatenate(subjects)),
    )


def _query_side(rng: np.random.Generator, episodes: int, subjects: Numbers) -> NDArray[np.bool_]:
    """Which images of a class are for the query: about two thirds, by whole random subjects."""
    starts = np.unique(subjects, return_index=True)[1]
    keys = rng.random((episodes, len(starts)))[:, subjects]
    ranks = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
    first_ranks = np.minimum.reduceat(ranks, starts, axis=1)[:, subjects]
    side: NDArray[np.bool_] = first_ranks >= len(subjects) // 3
    return side


def _scores(
    setting: Setting,
    rng: np.random.Generator,
    X: Floats,
    images: Numbers,
    score: Callable[[Floats, Floats, Numbers], Floats],
) -> Floats:
    """Scores of learners x seeds x episodes, of images (episodes x classes x drawn)."""
    k = setting.shots
    scores = np.empty((_LEARNERS, setting.seeds, setting.episodes))
    for features, row in zip(X, scores, strict=True):
        for seed in range(setting.seeds):
            weighed = features * _training(setting, rng)
            row[seed] = score(weighed[images[..., :k]], weighed[images[..., k:]], images)
    return scores


def _training(setting: Setting, rng: np.random.Generator) -> Floats | float:
    """The weights of the dimensions, from one training seed."""
    if setting.seeds == 1:
        return 1.0
    return np.exp(_TRAINING_SPREAD * rng.normal(size=SIGNAL + NOISE))


def _nearest_mean_auroc(support: Floats, query: Floats, images: Numbers) -> Floats:
    centres = support.mean(axis=2)
    logits = np.einsum("ecqd,ed->ecq", query, centres[:, 1] - centres[:, 0])
    values: Floats = (logits[:, 1, :, None] > logits[:, 0, None, :]).mean(axis=(1, 2))
    return values


def _nearest_mean_accuracy(support: Floats, query: Floats, images: Numbers) -> Floats:
    centres = support.mean(axis=2)
    products = np.einsum("ecqd,ebd->ecqb", query, centres)
    decisions = (2 * products - (centres**2).sum(axis=-1)[:, None, None]).argmax(axis=-1)
    values: Floats = (decisions == np.arange(centres.shape[1])[:, None]).mean(axis=(1, 2))
    return values


def _ridge_error(support: Floats, query: Floats, images: Numbers) -> Floats:
    """The mean absolute error of a ridge regression on the grades."""
    episodes, classes, k, width = support.shape
    x = support.reshape(episodes, classes * k, width)
    y = np.arange(classes).repeat(k) - (classes - 1) / 2
    centre = x.mean(axis=1, keepdims=True)
    x = x - centre
    gram = np.einsum("end,enf->edf", x, x) + _RIDGE * np.eye(width)
    weights = np.linalg.solve(gram, np.einsum("end,n->ed", x, y)[..., None])[..., 0]
    outputs = np.einsum("ecqd,ed->ecq", query - centre[:, :, None], weights) + (classes - 1) / 2
    decisions = np.clip(np.rint(outputs), 0, classes - 1)
    values: Floats = np.abs(decisions - np.arange(classes)[:, None]).mean(axis=(1, 2))
    return values


# -- three labels for each image -------------------------------------------------------------------


def _multilabel(setting: Setting, rng: np.random.Generator) -> Repetition:
    """Labels of prevalence one half; k images with and k without each, and 20 random others."""
    n, E = 2 * setting.images, setting.episodes
    labels = rng.integers(0, 2, (n, _LABELS))
    directions = np.array([[1.0, 0.2], [0.2, 1.0], [-0.8, 0.8]])
    X = _features(rng, (labels - 0.5) @ directions)
    order = rng.random((E, n))
    support = np.zeros((E, n), dtype=np.bool_)
    for column in labels.T:
        for answer in (0, 1):
            ranks = np.argsort(np.where(column == answer, rng.random((E, n)), 2.0), axis=1)
            np.put_along_axis(support, ranks[:, : setting.shots], True, axis=1)
    query = np.argpartition(np.where(support, 2.0, order), 2 * QUERIES - 1, axis=1)
    query = query[:, : 2 * QUERIES]
    scores = np.empty((_LEARNERS, setting.seeds, E))
    for features, row in zip(X, scores, strict=True):
        for seed in range(setting.seeds):
            row[seed] = _mean_auroc(features * _training(setting, rng), labels, support, query)
    chosen = support.copy()
    np.put_along_axis(chosen, query, True, axis=1)
    episodes, images = np.nonzero(chosen)
    patterns = labels @ (1 << np.arange(_LABELS))
    drawn = np.unique(images)
    sizes = np.bincount(patterns, minlength=1 << _LABELS)
    is_query = ~support[episodes, images]
    draws = Draws(episodes, images, is_query, drawn, patterns[drawn], sizes)
    return Repetition(scores, draws)


def _mean_auroc(X: Floats, labels: Numbers, support: NDArray[np.bool_], query: Numbers) -> Floats:
    """The mean over labels of the AUROC of nearest means."""
    values = []
    for column in labels.T:
        sides = [support & (column == answer) for answer in (0, 1)]
        low, high = (side @ X / side.sum(axis=1, keepdims=True) for side in sides)
        logits = np.einsum("eqd,ed->eq", X[query], high - low)
        truth = column[query] == 1
        pairs = truth[:, :, None] & ~truth[:, None, :]
        higher = (logits[:, :, None] > logits[:, None, :]) & pairs
        counts = pairs.sum(axis=(1, 2))
        values.append(np.where(counts, higher.sum(axis=(1, 2)) / np.maximum(1, counts), np.nan))
    means: Floats = np.nanmean(values, axis=0)
    return means


# -- shared ----------------------------------------------------------------------------------------


def _width() -> int:
    return 2 * SIGNAL + _LEARNERS * NOISE


def _features(rng: np.random.Generator, means: Floats, effects: Floats | None = None) -> Floats:
    """Learners x images x dimensions: signal about the means, and noise."""
    X = rng.normal(size=(len(means), _width()))
    if effects is not None:
        X = (X + effects) / np.sqrt(2)
    X[:, :SIGNAL] += means
    X[:, SIGNAL : 2 * SIGNAL] += means
    noise = np.split(X[:, 2 * SIGNAL :], _LEARNERS, axis=1)
    shared, own = X[:, :SIGNAL], X[:, SIGNAL : 2 * SIGNAL]
    signals = (shared, shared, own)
    return np.stack([np.concatenate(parts, axis=1) for parts in zip(signals, noise, strict=True)])


def _draws_of(
    setting: Setting, images: Numbers, strata: Numbers, subjects: Numbers | None
) -> Draws:
    """The draws of episodes x classes x drawn images, the support first."""
    episodes = np.broadcast_to(np.arange(setting.episodes)[:, None, None], images.shape)
    is_query = np.broadcast_to(np.arange(images.shape[2]) >= setting.shots, images.shape)
    drawn = np.unique(images)
    more: dict[str, Any] = {}
    if subjects is not None:
        pairs = np.unique(np.stack([strata, subjects]), axis=1)
        more = {"subjects": subjects[drawn], "stratum_subjects": np.bincount(pairs[0])}
    return Draws(
        episodes.ravel(),
        images.ravel(),
        is_query.ravel(),
        drawn,
        strata[drawn],
        np.bincount(strata),
        **more,
    )


_KINDS: Final[dict[str, Callable[[Setting, np.random.Generator], Repetition]]] = {
    "binary": _binary,
    "multi-class": _multiclass,
    "multi-label": _multilabel,
    "ordinal": _ordinal,
    "subjects": _subjects,
    "near 1": _near_one,
}
KINDS: Final = tuple(_KINDS)

"""OTDD: how far a labelled dataset must be carried to become another.

Alvarez-Melis and Fusi (2020). It needs no training, and sees where the images lie and how they are
labelled.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import nn

from torchcross._kit.argument_checks import as_int, check_choice
from torchcross._kit.arrays import Indices
from torchcross._kit.extras import import_extra
from torchcross._kit.randomness import Stream, permutation
from torchcross.backbones.input_normalisation import MeanAndStd
from torchcross.data import TaskSource
from torchcross.errors import InputError
from torchcross.metrics.score import Score, undefined_score
from torchcross.transfer.scores.answers import checked_features
from torchcross.transfer.similarity.label_gaussians import (
    COVARIANCES,
    Covariance,
    Floats,
    label_distances,
)
from torchcross.transfer.source_scores import block_rows, features_of

IMAGES = 1000
Codes = NDArray[np.int64]


def otdd(
    source: TaskSource,
    target: TaskSource,
    *,
    embed: nn.Module,
    images: int = IMAGES,
    seed: int = 0,
    covariance: Covariance = "full",
    normalise: MeanAndStd | None = None,
) -> Score:
    """The optimal transport dataset distance of two datasets, exactly, on images of each.

    Every image is carried at the cost |x - x'|^2 + W^2(y, y'): x are the features of the network
    `embed`, the same for all datasets that are compared, and W is the 2-Wasserstein distance of the
    two classes as Gaussians of their features, with `covariance` "full" or "diagonal". The value is
    the root of the mean cost, in units of the features: 0 is the same dataset.

    At most `images` of each are drawn by `seed`, among those whose labels are all known. A class is
    a set of labels where a target has several. Classes of one image are left out and counted. Equal
    numbers of images need SciPy alone; others the extra `otdd`.
    """
    parts = []
    for dataset in (source, target):
        order = _drawn_order(dataset, seed)
        parts.append((dataset, order[: as_int("images", images, least=2)]))
    return _distance(parts, embed, covariance, normalise)


def otdd_noise_floor(
    source: TaskSource,
    *,
    embed: nn.Module,
    images: int = IMAGES,
    seed: int = 0,
    covariance: Covariance = "full",
    normalise: MeanAndStd | None = None,
) -> Score:
    """`otdd` of two disjoint draws of one source: no smaller distance means anything.

    Each draw has `images` images, or half of them where there are fewer.
    """
    order = _drawn_order(source, seed)
    count = min(as_int("images", images, least=2), len(order) // 2)
    parts = [(source, order[:count]), (source, order[count : 2 * count])]
    return _distance(parts, embed, covariance, normalise)


def otdd_of_features(
    features: Floats,
    classes: Codes,
    other_features: Floats,
    other_classes: Codes,
    covariance: Covariance = "full",
) -> Score:
    """`otdd` of features (N, D) with classes (N,) and of others (M, D) with theirs."""
    check_choice("covariance", covariance, COVARIANCES)
    kept, notes = [], []
    for name, values, codes in (
        ("first", features, classes),
        ("second", other_features, other_classes),
    ):
        rows = checked_features(values)
        if np.shape(codes) != (len(rows),):
            raise InputError(
                f"the classes of the {name} dataset have the shape {np.shape(codes)}; give one for"
                f" each of its {len(rows)} rows"
            )
        present, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
        usable = counts[places.reshape(-1)] > 1
        single = f"{int((counts == 1).sum())} of {len(present)} classes of the {name} dataset"
        if not usable.any():
            return undefined_score(f"{single} have one image, and no covariance")
        if not usable.all():
            notes.append(f"{single} have one image and are left out")
        kept.append((rows[usable], np.asarray(codes)[usable]))
    one, other = kept
    return Score(math.sqrt(_mean_cost(_costs(one, other, covariance))), "; ".join(notes))


def _drawn_order(source: TaskSource, seed: int) -> Indices:
    """Samples whose labels are all known, in an order of the seed."""
    known = np.flatnonzero((source.labels >= 0).reshape(len(source), -1).all(axis=1))
    if len(known) < 4:
        raise InputError(
            f"source {source.name!r} has {len(known)} images with all labels known; a distance"
            " needs four or more"
        )
    order: Indices = known[permutation(Stream(seed, "otdd", source.name), 0, len(known))]
    return order


def _distance(
    parts: list[tuple[TaskSource, Indices]],
    embed: nn.Module,
    covariance: Covariance,
    normalise: MeanAndStd | None,
) -> Score:
    sides: list[tuple[Floats, Codes]] = []
    for dataset, rows in parts:
        blocks = (dataset.read(rows[block]) for block in block_rows(len(rows)))
        features = features_of(embed, normalise, blocks, f"source {dataset.name!r}")
        codes = dataset.targets(rows).numpy().reshape(len(rows), -1)
        sides.append((features, np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)))
    (features, classes), (other_features, other_classes) = sides
    return otdd_of_features(features, classes, other_features, other_classes, covariance)


def _costs(
    side: tuple[Floats, Codes], other: tuple[Floats, Codes], covariance: Covariance
) -> Floats:
    """(N, M): from every sample to every other one."""
    rows, others = side[0], other[0]
    # Around a common centre, large features do not hide small distances.
    centre = rows.mean(axis=0)
    rows, others = rows - centre, others - centre
    squares = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    between = np.maximum(squares - 2 * rows @ others.T, 0)
    (groups, places), (other_groups, other_places) = (
        _groups(rows, side[1]),
        _groups(others, other[1]),
    )
    labels = label_distances(groups, other_groups, covariance)
    costs: Floats = between + labels[np.ix_(places, other_places)]
    return costs


def _groups(rows: Floats, classes: Codes) -> tuple[list[Floats], Codes]:
    present, places = np.unique(classes, return_inverse=True)
    places = places.reshape(-1)
    return [rows[places == number] for number in range(len(present))], places


def _mean_cost(costs: Floats) -> float:
    """Of the cheapest plan that carries uniform weights to uniform weights."""
    samples, others = costs.shape
    if samples == others:
        from scipy.optimize import linear_sum_assignment

        return float(costs[linear_sum_assignment(costs)].mean())
    transport = import_extra("ot", "otdd", f"a distance of {samples} and {others} images")
    return float(transport.emd2([], [], costs, numItermax=10_000_000))

"""The singular values of features, and the samples as orthonormal coordinates."""

from __future__ import annotations

import numpy as np
import torch

from torchcross.transfer.scores.answers import Floats

_CONDITION = 1e6
"""Up to this ratio of eigenvalues the products of the features lose no more than six digits."""


def left_singular_vectors(rows: Floats) -> tuple[Floats, Floats]:
    """(U (N, rank), singular values (rank,)), those that are 0 but for rounding left out.

    By the eigenvectors of the products where that is exact enough, which is several times faster.
    Products square the condition number, so ill-conditioned features are decomposed themselves.
    """
    rows = rows[:, np.abs(rows).max(axis=0) > 0]
    samples, width = rows.shape
    products = rows.T @ rows if samples > width else rows @ rows.T
    squares, vectors = np.linalg.eigh(products)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    if squares[-1] * _CONDITION < squares[0]:
        return _by_singular_values(rows)
    values = np.sqrt(squares)
    if samples > width:
        vectors = rows @ vectors / values
    return vectors, values


def _by_singular_values(rows: Floats) -> tuple[Floats, Floats]:
    samples, width = rows.shape
    if samples > width:
        # By QR first: as exact as the whole decomposition, and cheaper.
        orthonormal, triangle = (part.numpy() for part in torch.linalg.qr(torch.from_numpy(rows)))
        vectors, values, _ = np.linalg.svd(triangle)
        vectors = orthonormal @ vectors
    else:
        vectors, values, _ = np.linalg.svd(rows, full_matrices=False)
    cutoff = values[0] * max(rows.shape) * np.finfo(np.float64).eps
    rank = int((values > cutoff).sum())
    return vectors[:, :rank], values[:rank]


def principal_components(rows: Floats, most: int) -> Floats:
    """Centred rows in their first principal components, at most `most` of them."""
    centred = rows - rows.mean(axis=0)
    samples, width = centred.shape
    if samples <= width:
        squares, vectors = np.linalg.eigh(centred @ centred.T)
        largest = np.sqrt(np.maximum(squares[::-1][:most], 0))
        narrow: Floats = vectors[:, ::-1][:, :most] * largest
        return narrow
    # The largest components do not suffer from products, whatever the smallest ones are.
    directions = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    components: Floats = centred @ directions[:, :most]
    return components

"""Bootstrap samples from raw Philox words: equal seeds give equal samples on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import read_only
from torchcross._kit.randomness import Stream, below_array

Floats = NDArray[np.float64]
_CELLS = 2**20
"""The size of a block of bootstrap samples: memory does not grow with the number of samples."""


def resampled_means(values: Floats, seed: int, resamples: int) -> Floats:
    """The means of `resamples` samples with replacement."""
    n = len(values)
    sums = [counts @ values for counts in _blocks(seed, "values", n, n, resamples)]
    return np.concatenate(sums) / n


def crossed_means(matrix: Floats, seed: int, resamples: int) -> Floats:
    """Means of a (training seeds x episodes) table: rows drawn with replacement, then columns.

    NaN cells are left out. Every drawn row meets the same drawn columns (Owen 2007), since all
    training seeds saw the same episodes.
    """
    defined = ~np.isnan(matrix)
    filled = np.where(defined, matrix, 0.0)
    rows, columns = matrix.shape
    row_blocks = _blocks(seed, "seeds", rows, rows + columns, resamples)
    column_blocks = _blocks(seed, "episodes", columns, rows + columns, resamples)
    means = []
    for by_row, by_column in zip(row_blocks, column_blocks, strict=True):
        sums = ((by_column @ filled.T) * by_row).sum(axis=1)
        if defined.all():
            means.append(sums / matrix.size)
        else:
            counts = ((by_column @ defined.T.astype(np.float64)) * by_row).sum(axis=1)
            means.append(_ratio(sums, counts))
    return np.concatenate(means)


def nested_means(groups: Sequence[Floats], seed: int, resamples: int) -> Floats:
    """Means over training seeds drawn with replacement, each with its own episodes drawn so too."""
    lengths = np.array([len(group) for group in groups])
    longest = int(lengths.max())
    padded = np.full((len(groups), longest), np.nan)
    for row, group in zip(padded, groups, strict=True):
        row[: len(group)] = group
    stream = Stream(seed, "bootstrap", "nested")
    height = max(1, _CELLS // longest)
    means = []
    for block, start in enumerate(range(0, resamples, height)):
        rows = min(height, resamples - start)
        sums, counts = np.zeros(rows), np.zeros(rows)
        for slot in range(len(groups)):
            words = stream.substream(slot).sequence(block, rows * (longest + 1))
            words = words.reshape(rows, longest + 1)
            # The first word of a row draws the training seed, the others its episodes.
            drawn_seeds = below_array(words[:, 0], _bound(len(groups)))
            drawn_lengths = lengths[drawn_seeds, None]
            episodes = below_array(words[:, 1:], drawn_lengths.astype(np.uint64))
            values = padded[drawn_seeds[:, None], episodes]
            values[np.arange(longest) >= drawn_lengths] = np.nan
            sums += np.nansum(values, axis=1)
            counts += (~np.isnan(values)).sum(axis=1)
        means.append(_ratio(sums, counts))
    return np.concatenate(means)


def _ratio(sums: Floats, counts: Floats) -> Floats:
    ratio: Floats = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return ratio


def _bound(n: int) -> NDArray[np.uint64]:
    return np.array(n, dtype=np.uint64)


def _blocks(seed: int, name: str, n: int, width: int, resamples: int) -> Iterator[Floats]:
    """How often each of n things is drawn, one row per bootstrap sample, in blocks.

    A block has `_CELLS // width` rows.
    """
    height = max(1, _CELLS // width)
    for block, start in enumerate(range(0, resamples, height)):
        yield _counts(seed, name, n, min(height, resamples - start), block)


@lru_cache(maxsize=4)
def _counts(seed: int, name: str, n: int, rows: int, block: int) -> Floats:
    """Cached, because the cells of a table have equally many episodes."""
    words = Stream(seed, "bootstrap", name, n).sequence(block, rows * n)
    places = below_array(words, _bound(n)).reshape(rows, n) + np.arange(rows)[:, None] * n
    counts = np.bincount(places.ravel(), minlength=rows * n).reshape(rows, n)
    return read_only(counts.astype(np.float64))

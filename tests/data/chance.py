"""How likely a deviation from what was expected is, for draws that a fixed seed makes the same for
ever.
"""

from __future__ import annotations

import numpy as np
import torch


def chi_square(counts, expected=None):
    """p-value of Pearson's test that `counts` come with the probabilities `expected` (default: all
    the same).
    """
    counts = np.asarray(counts, dtype=float)
    shares = np.full(counts.shape, 1.0) if expected is None else np.asarray(expected, dtype=float)
    wanted = counts.sum() * shares / shares.sum()
    assert wanted.min() >= 5, "too few draws for a chi-square test"
    statistic = ((counts - wanted) ** 2 / wanted).sum()
    half = torch.tensor((counts.size - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(half, torch.tensor(statistic / 2, dtype=torch.float64)))


# Draws are fixed, so this is no matter of luck: it fails for good where draws are not uniform, and
# otherwise never.
UNLIKELY = 1e-3

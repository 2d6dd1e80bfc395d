"""Which targets learn alike: only those can share one loss function, and with it lanes."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache

import torch

from torchcross.targets import Target


@lru_cache(maxsize=4096)
def learning_key(target: Target) -> Hashable:
    """Equal for targets that train and predict alike.

    Class names do not count, nor do label values that the loss ignores. Whether a loss uses the
    label values (the gaps between grades, say) shows in its values for fixed logits.

    >>> from torchcross.heads import learning_key
    >>> from torchcross.targets import Ordinal
    >>> even, uneven = {0: "none", 1: "some", 2: "much"}, {0: "none", 1: "some", 9: "much"}
    >>> learning_key(Ordinal(even)) == learning_key(Ordinal(uneven))
    True
    >>> losses = [Ordinal(grades, loss="earth_movers") for grades in (even, uneven)]
    >>> learning_key(losses[0]) == learning_key(losses[1])  # this loss counts the gaps
    False
    """
    # Fixed logits without a pattern, and every label value in every column.
    rows, shape = len(target.values), target.label_shape
    columns = torch.arange(shape[0]) if shape else torch.zeros((), dtype=torch.int64)
    labels = (torch.arange(rows).view(-1, *[1] * len(shape)) + columns) % rows
    logits = torch.sin(torch.arange(1.0, rows * target.num_outputs + 1, dtype=torch.float64))
    logits = logits.view(rows, target.num_outputs)
    losses = [
        float(target.loss(logits[row : row + 1], labels[row : row + 1])) for row in range(rows)
    ]
    return (
        target.kind,
        target.num_classes,
        target.loss_name,
        target.loss_options,
        target.head,
        tuple(losses),
    )

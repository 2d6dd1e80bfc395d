"""Images that say which sample they are, so that a read can be checked against what was asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross.data import TaskSource


class NumberedSource(TaskSource):
    """A source whose image i is a float32 tensor (1, 2, 2) filled with i, exact below 2^24.

    >>> from torchcross.targets import Binary
    >>> from torchcross.testing import NumberedSource, numbers_of
    >>> source = NumberedSource(tx.Task("lesion", Binary()), np.arange(20) % 2)
    >>> numbers_of(source.images(np.array([3, 7])))
    array([3, 7])
    """

    def images(self, indices: NDArray[np.int64]) -> Tensor:
        numbers = torch.tensor(np.asarray(indices).tolist(), dtype=torch.float32)
        return numbers.reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def numbers_of(images: Tensor) -> NDArray[Any]:
    """The sample numbers in a batch of images, as in `numbers_of(episode.support.x)`.

    >>> from torchcross.targets import Binary
    >>> from torchcross.testing import NumberedSource, numbers_of
    >>> source = NumberedSource(tx.Task("lesion", Binary()), np.arange(20) % 2)
    >>> sampler = tx.EpisodeSampler(source, shots=1, queries=1)
    >>> episode, plan = tx.Episodes(sampler)[0], sampler[0]
    >>> bool((numbers_of(episode.query.x) == plan.query).all())
    True
    """
    return images.reshape(len(images), -1)[:, 0].long().numpy()

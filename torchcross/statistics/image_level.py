"""From scores and draws to the law of their mean over images, or the reason why there is none."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.arrays import Indices
from torchcross.errors import InputError
from torchcross.statistics.draws import Draws
from torchcross.statistics.image_effects import ImageLaw, image_law
from torchcross.statistics.overlap import overlap_of

Floats = NDArray[np.float64]
IMAGES: Final = "images"


def law_or_reason(
    values: Floats, draws: Draws | None, episodes: ArrayLike | None
) -> ImageLaw | str | None:
    """The law of the mean of the values that are defined, or the reason why there is none.

    The reason is empty where no two episodes share an image. None: there are no draws.
    """
    if draws is None:
        return None
    if not isinstance(draws, Draws):
        raise InputError(f"draws are a {type(draws).__name__}; give Draws: what each episode drew")
    numbers = _checked_episodes(episodes, draws, len(values))
    defined = ~np.isnan(values)
    if np.count_nonzero(defined) < 2:
        return None
    order = np.argsort(numbers[defined])
    ordered = values[defined][order]
    if ordered.min() == ordered.max():
        return None
    overlap = overlap_of(draws, numbers[defined][order])
    if isinstance(overlap, str):
        return overlap
    if np.ptp(ordered[overlap.sample]) == 0:
        return f"the {len(overlap.sample)} episodes that stand for all have equal scores"
    return image_law(ordered, overlap)


def _checked_episodes(episodes: ArrayLike | None, draws: Draws, count: int) -> Indices:
    known = draws.episode_numbers
    numbers = known if episodes is None else np.asarray(episodes)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise InputError(
            f"episodes are {numbers.dtype} of shape {numbers.shape}; give the number of the episode"
            " of each value"
        )
    if len(numbers) != count:
        raise InputError(
            f"there are {count} values and {len(numbers)} episodes; give the number of the episode"
            " of each value"
        )
    numbers = numbers.astype(np.int64)
    if len(np.unique(numbers)) < len(numbers):
        raise InputError("an episode stands twice; give each value the number of its own episode")
    if len(unknown := np.setdiff1d(numbers, known)):
        raise InputError(
            f"the draws have no episode {unknown[0]} ({len(unknown)} of {count} are missing); give"
            " the draws of the same episodes"
        )
    return numbers

"""What was predicted in single episodes, and the images that it was predicted of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchcross.report.inputs import Picture


@dataclass(frozen=True)
class QueryAnswer:
    """One query image by its number in the task, and what was predicted for it.

    `has_truth`: its label is known, so that the answer is right or wrong.
    """

    image: int
    truth: str
    predicted: str
    probability: float
    has_truth: bool = True

    @property
    def is_right(self) -> bool:
        return self.has_truth and self.truth == self.predicted

    @property
    def is_wrong(self) -> bool:
        return self.has_truth and self.truth != self.predicted


@dataclass(frozen=True, eq=False)
class EpisodePictures:
    """The support of an episode, and the pixels of its query in the order of the answers.

    Where there are none, `problem` says why.
    """

    support: tuple[Picture, ...] = ()
    query: tuple[NDArray[np.uint8], ...] = ()
    problem: str = ""


class AnswersKey(NamedTuple):
    """Whose answers they are, and of which episode."""

    algorithm: str
    target: str
    shots: int
    seed: int
    episode: int


@dataclass(frozen=True)
class EpisodeAnswers:
    """What one algorithm predicted for the query of one episode.

    `read_pictures` reads the images of the episode, if a page shows them.
    """

    algorithm: str
    target: str
    shots: int
    seed: int
    episode: int
    answers: tuple[QueryAnswer, ...]
    read_pictures: Callable[[], EpisodePictures] | None = field(
        default=None, compare=False, repr=False
    )

    @property
    def key(self) -> AnswersKey:
        return AnswersKey(self.algorithm, self.target, self.shots, self.seed, self.episode)

"""What a report shows beside the rows: learning curves, episodes as pictures, failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.pixels import as_pixels
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.report.html import TableCell, TableColumn
from torchcross.report.markup import Markup
from torchcross.targets import Prediction, Target
from torchcross.targets.answer_names import answer_texts


@dataclass(frozen=True)
class Curve:
    """One line of a learning curve: `values` of `quantity` ("validation auroc") at `steps`.

    Curves of one `group` (for example a left-out domain) and one quantity share a plot. `label`
    names the line, and `best` is the step whose weights were kept. NaN interrupts the line.
    `chance` is what chance reaches, in the unit of the values: NaN where there is no such level.
    """

    label: str
    quantity: str
    steps: Sequence[int]
    values: Sequence[float]
    group: str = ""
    best: int | None = None
    chance: float = nan

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise InputError(
                f"the curve {self.label!r} got {len(self.steps)} steps and {len(self.values)}"
                " values; give one value per step"
            )
        if any(later <= earlier for earlier, later in pairwise(self.steps)):
            raise InputError(
                f"the steps of the curve {self.label!r} are not in ascending order; give each"
                " step once, in order"
            )
        if self.best is not None and self.best not in self.steps:
            raise InputError(
                f"the best step of the curve {self.label!r} is {self.best}, which is none of its"
                " steps; give one of them"
            )


@dataclass(frozen=True)
class Failure:
    """A part of the study that has no rows, with its reason. An empty field means all of them."""

    reason: str
    kind: str = ""
    run: str = ""
    target: str = ""
    algorithm: str = ""
    shots: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise InputError("a Failure got no reason; say what went wrong")


@dataclass(frozen=True)
class PageTable:
    """A section of your own on the page: texts, and a table under them.

    `identifier` is its anchor: what stands behind the # in an address. `caption` is that of the
    table. `figure` stands between the texts and the table.
    """

    identifier: str
    title: str
    caption: str
    texts: Sequence[str]
    columns: Sequence[TableColumn]
    rows: Sequence[Sequence[TableCell | str]]
    figure: Markup | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """One sample: 8-bit pixels (height, width) or (height, width, 3), its label, its prediction.

    `confidence` is the probability that the predictor gave to its own answer. `belief` is the one
    that it gave to the truth, NaN where the truth is unknown.
    """

    pixels: NDArray[np.uint8]
    truth: str
    predicted: str | None = None
    confidence: float | None = None
    belief: float | None = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        is_image = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
        if self.pixels.dtype != np.uint8 or not is_image:
            raise InputError(
                f"a Picture got pixels of {self.pixels.dtype} and shape {shape}; give 8-bit ones of"
                " shape (height, width) or (height, width, 3)"
            )

    @property
    def is_mistake(self) -> bool:
        is_known = self.belief is None or not isnan(self.belief)
        return self.predicted is not None and self.predicted != self.truth and is_known


@dataclass(frozen=True, eq=False)
class Example:
    """One episode as pictures: the support, the query with its predictions, and its score."""

    target: str
    algorithm: str
    shots: int | None
    episode: int
    metric: str
    score: float
    support: tuple[Picture, ...]
    query: tuple[Picture, ...]

    @classmethod
    def of(
        cls,
        episode: Episode,
        prediction: Prediction,
        *,
        target: str,
        algorithm: str,
        metric: str,
        score: float,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> Example:
        """The example of an episode and the prediction of its query.

        The normalisation of the images is undone by x * std + mean. If values then lie outside
        0..1, support and query are stretched to it together.
        """
        support, query = as_pixels([episode.support.x, episode.query.x], mean, std)
        label_target, plan = episode.task.target, episode.plan
        shots, number = (None, 0) if plan is None else (plan.shots, plan.index)
        return cls(
            target=target,
            algorithm=algorithm,
            shots=shots,
            episode=number,
            metric=metric,
            score=score,
            support=tuple(map(Picture, support, answer_texts(label_target, episode.support.y))),
            query=tuple(_query_pictures(label_target, query, episode.query, prediction)),
        )

    @property
    def worst(self) -> tuple[Picture, ...]:
        """The mistakes of the query, the least probability of the truth first."""
        mistakes = [picture for picture in self.query if picture.is_mistake]
        return tuple(sorted(mistakes, key=lambda picture: picture.belief or 0.0))


def _query_pictures(
    target: Target, pixels: Sequence[NDArray[np.uint8]], query: Batch, prediction: Prediction
) -> list[Picture]:
    truth = query.y.detach().cpu().numpy()
    decided = prediction.decisions.detach().cpu().numpy()
    probabilities = prediction.probabilities.detach().cpu().double().numpy()
    if not len(pixels) == len(truth) == len(decided) == len(probabilities):
        raise InputError(
            f"an Example got {len(truth)} query samples and a prediction of {len(decided)}; give"
            " the prediction of this query"
        )
    return list(
        map(
            Picture,
            pixels,
            answer_texts(target, truth),
            answer_texts(target, decided, truth),
            answer_probabilities(probabilities, decided).tolist(),
            answer_probabilities(probabilities, truth).tolist(),
        )
    )


def answer_probabilities(
    probabilities: NDArray[np.float64], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The probability of each answer: of the class, or of the least likely of several labels."""
    if codes.ndim == 1:
        columns = np.maximum(codes, 0)[:, None]
        of_class = np.take_along_axis(probabilities, columns, axis=1)[:, 0]
        return np.where(codes < 0, np.nan, of_class)
    of_label = np.where(codes > 0, probabilities, 1.0 - probabilities)
    least: NDArray[np.float64] = np.where(codes < 0, 1.0, of_label).min(axis=1)
    return np.where((codes < 0).all(axis=1), np.nan, least)

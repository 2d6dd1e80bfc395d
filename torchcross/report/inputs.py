"""What a report shows beside the rows: curves of training, episodes as pictures, and what
failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.report.pixels import as_pixels
from torchcross.targets import Prediction, Target

__all__ = ["Curve", "Example", "Failure", "Picture"]


@dataclass(frozen=True)
class Curve:
    """One line of a learning curve: `values` of `quantity` ("validation auroc") at `steps`.

    Curves of one `group` (a left-out domain, say) and one quantity share a plot; `label` names the
    line, and `best` is the step whose weights were kept. NaN interrupts the line.
    """

    label: str
    quantity: str
    steps: Sequence[int]
    values: Sequence[float]
    group: str = ""
    best: int | None = None

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise InputError(
                f"the curve {self.label!r} got {len(self.steps)} steps and {len(self.values)}"
                " values; give one value per step"
            )
        if any(
            later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)
        ):
            raise InputError(
                f"the steps of the curve {self.label!r} do not ascend; give each step once, in"
                " order"
            )
        if self.best is not None and self.best not in self.steps:
            raise InputError(
                f"the curve {self.label!r} has its best at step {self.best}, which is none of its"
                " steps"
            )


@dataclass(frozen=True)
class Failure:
    """Something that was to be in the rows and is not, with its reason; empty fields mean "all of
    them".
    """

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


@dataclass(frozen=True, eq=False)
class Picture:
    """One sample: 8-bit pixels (height, width) or (height, width, 3), its label, and what was
    predicted.

    `confidence` is the probability that the predictor gave to its own answer, `belief` the one it
    gave to the truth, NaN where nobody knows the truth.
    """

    pixels: NDArray[np.uint8]
    truth: str
    predicted: str | None = None
    confidence: float | None = None
    belief: float | None = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or not (
            len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
        ):
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
        """The example that an episode and its query's prediction make.

        Images that were normalised come back by x * std + mean. What then lies outside 0..1 is
        stretched to it, support and query alike.
        """
        support, query = as_pixels([episode.support.x, episode.query.x], mean, std)
        task = episode.task.target
        plan = episode.plan
        return cls(
            target=target,
            algorithm=algorithm,
            shots=None if plan is None else plan.shots,
            episode=0 if plan is None else plan.index,
            metric=metric,
            score=score,
            support=tuple(map(Picture, support, _names(task, episode.support.y))),
            query=tuple(_judged(task, query, episode.query, prediction)),
        )

    @property
    def worst(self) -> tuple[Picture, ...]:
        """The mistakes of the query, the one whose truth was believed in least first."""
        return tuple(sorted((picture for picture in self.query if picture.is_mistake), key=_belief))


def _belief(picture: Picture) -> float:
    return 0.0 if picture.belief is None else picture.belief


def _judged(
    target: Target, pixels: Sequence[NDArray[np.uint8]], query: Batch, prediction: Prediction
) -> list[Picture]:
    truth = query.y.detach().cpu().numpy()
    decided = prediction.decisions.detach().cpu().numpy()
    probabilities = prediction.probabilities.detach().cpu().double().numpy()
    if not len(pixels) == len(truth) == len(decided) == len(probabilities):
        raise InputError(
            f"an Example got {len(truth)} query samples and a prediction of {len(decided)}"
        )
    return list(
        map(
            Picture,
            pixels,
            _names(target, truth),
            _names(target, decided, truth),
            _probability(probabilities, decided).tolist(),
            _probability(probabilities, truth).tolist(),
        )
    )


def _names(target: Target, codes: Any, known: Any = None) -> list[str]:
    """The labels in words: a class each, or the list of what applies; what is unknown is left out
    of both.
    """
    answers = np.asarray(codes)
    if answers.ndim == 1:
        return [target.classes[code] if code >= 0 else "unknown" for code in answers.tolist()]
    labelled = np.ones_like(answers) if known is None else np.asarray(known) >= 0
    return [
        ", ".join(
            name
            for name, one, seen in zip(target.classes, row, labels, strict=True)
            if one > 0 and seen
        )
        or "none of them"
        for row, labels in zip(answers.tolist(), labelled.tolist(), strict=True)
    ]


def _probability(
    probabilities: NDArray[np.float64], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The probability of the given answers: of the class, or of the least likely one of several
    answers.
    """
    if codes.ndim == 1:
        taken = np.take_along_axis(probabilities, np.maximum(codes, 0)[:, None], axis=1)[:, 0]
        return np.where(codes < 0, np.nan, taken)
    answers = np.where(codes > 0, probabilities, 1.0 - probabilities)
    least: NDArray[np.float64] = np.where(codes < 0, 1.0, answers).min(axis=1)
    return least

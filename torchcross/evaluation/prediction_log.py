"""Predictions of episodes, collected while `evaluate` scores them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross.episode import Episode
from torchcross.errors import InputError, SmallSupportError
from torchcross.plan import EpisodePlan
from torchcross.records.predictions import Predictions
from torchcross.targets import Prediction
from torchcross.task import Task

_LARGEST = float(np.finfo(np.float32).max)
_WITHOUT_SIGN = 0x7FFFFFFF


@final
class PredictionLog:
    """Collects the predictions of the episodes of one task source.

    log = PredictionLog("protonet", shots=5, seed=0)
    records = list(evaluate(algorithm, episodes, ..., observe=log))
    log.predictions().write("protonet.safetensors")

    `sets_of` makes the prediction sets of an episode. Where it raises a SmallSupportError for any
    of them, no sets are kept, and the predictions say why.

    `groups` are the subjects of the source's images, where they are known. Log-odds are kept in
    float32. Where two different ones of an episode would become equal, the larger one becomes the
    next number: metrics of what is kept are those of the predictions themselves.
    """

    def __init__(
        self,
        algorithm: str,
        *,
        shots: int,
        seed: int = 0,
        groups: Indices | None = None,
        split: str = "all",
        sets_of: Callable[[Episode], NDArray[np.bool_]] | None = None,
    ) -> None:
        self._algorithm, self._shots, self._seed = algorithm, shots, seed
        self._groups, self._split = groups, split
        self._sets_of = sets_of
        self._sets: list[NDArray[np.bool_]] = []
        self._sets_absent = ""
        self._source = ""
        self._task: Task | None = None
        self._episodes: list[int] = []
        self._parts: dict[str, list[NDArray[Any]]] = {
            name: [] for name in ("images", "labels", "decisions", "log_odds")
        }

    def __call__(self, episode: Episode, prediction: Prediction) -> None:
        """Keep the prediction of an episode; episodes come in ascending order."""
        plan = episode.plan
        if plan is None:
            raise InputError(
                "an episode has no plan, so its images have no numbers; take episodes from"
                " tx.Episodes"
            )
        self._check_source(plan, episode.task)
        labels = episode.query.y.cpu().numpy()
        self.add(plan.index, plan.query, labels, prediction)
        if self._sets_of is not None:
            try:
                self._sets.append(self._sets_of(episode))
            except SmallSupportError as error:
                self._sets_of = None
                self._sets_absent = f"episode {plan.index}: {error}"

    def add(
        self, number: int, images: Indices, labels: NDArray[Any], prediction: Prediction
    ) -> None:
        """Keep the prediction of images whose numbers are known."""
        self._episodes.append(number)
        values = {
            "images": np.array(images, dtype=np.int64),
            "labels": np.array(labels, dtype=np.int64),
            "decisions": prediction.decisions.cpu().numpy().astype(np.int64),
            "log_odds": _in_float32(_log_odds_of(prediction)),
        }
        for name, part in self._parts.items():
            part.append(values[name])

    def _check_source(self, plan: EpisodePlan, task: Task) -> None:
        if self._task is None:
            self._source, self._task = plan.source, task
        elif (plan.source, task.name, task.classes) != (
            self._source,
            self._task.name,
            self._task.classes,
        ):
            raise InputError(
                f"episode {plan.index} of {plan.source!r} has the classes {list(task.classes)}, and"
                f" those before it, of {self._source!r}, have {list(self._task.classes)}; use one"
                " PredictionLog for each source and set of classes"
            )

    def predictions(self) -> Predictions:
        """The predictions so far, of all episodes but those whose adaptation diverged."""
        if self._task is None:
            raise InputError("a PredictionLog has seen no episode; give it to evaluate first")
        return self.of(self._source, self._task)

    def of(self, source: str, task: Task) -> Predictions:
        """The predictions so far, as those of a source and a task that are given."""
        columns = {name: np.concatenate(part) for name, part in self._parts.items()}
        images = columns["images"]
        if self._sets_of is not None:
            columns["sets"] = np.concatenate(self._sets)
        return Predictions(
            source=source,
            task=task,
            algorithm=self._algorithm,
            shots=self._shots,
            seed=self._seed,
            split=self._split,
            episodes=np.array(self._episodes, dtype=np.int64),
            sizes=np.array([len(part) for part in self._parts["images"]], dtype=np.int64),
            subjects=None if self._groups is None else self._groups[images],
            sets_absent=self._sets_absent,
            **columns,
        )


def _log_odds_of(prediction: Prediction) -> NDArray[np.float64]:
    """The scores of a prediction, or where it has none, the log-odds of its probabilities."""
    scores = prediction.scores
    if scores is None:
        scores = torch.logit(prediction.probabilities.detach().cpu().double())
    bound = torch.finfo(torch.float64).max
    array: NDArray[np.float64] = scores.detach().cpu().double().clamp(-bound, bound).numpy()
    return array


def _in_float32(log_odds: NDArray[np.float64]) -> NDArray[Any]:
    """The same order of each column in float32; in float64 where float32 has no such numbers."""
    rounded = _nearest(log_odds)
    ordered = np.sort(log_odds, axis=0)
    made_equal = (ordered[1:] > ordered[:-1]) & (np.diff(_nearest(ordered), axis=0) == 0)
    for column in np.flatnonzero(made_equal.any(axis=0)):
        values, places = np.unique(log_odds[:, column], return_inverse=True)
        ascending = _ascending(_nearest(values))
        if np.isinf(ascending).any():
            return log_odds
        rounded[:, column] = ascending[places]
    return rounded


def _nearest(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The nearest finite numbers of float32."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float32)


def _ascending(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sorted numbers with the next one of float32 in the place of one that is not larger.

    The bits of positive floats are integers in the same order. NaN, which comes last, stays.
    """
    known = ~np.isnan(values)
    bits = values[known].view(np.int32).astype(np.int64)
    keys = np.where(bits >= 0, bits, -(bits & _WITHOUT_SIGN))
    steps = np.arange(len(keys))
    keys = np.maximum.accumulate(keys - steps) + steps
    bits = np.where(keys >= 0, keys, -keys | ~_WITHOUT_SIGN)
    values = values.copy()
    values[known] = bits.astype(np.int32).view(np.float32)
    return values

"""What an algorithm predicted for each query image of each episode, beside the truth.

To add a field, add it to `Predictions`, fill it in `torchcross.evaluation.prediction_log`, and
write it in `torchcross.records.prediction_files`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final, overload

import numpy as np
import torch
from numpy.typing import NDArray

from torchcross._kit.argument_checks import as_int
from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.missing_labels import MISSING
from torchcross.errors import InputError
from torchcross.metrics import Score
from torchcross.records.records import EpisodeRecord, text_problem
from torchcross.records.shots import shots_number, shots_prefix
from torchcross.targets import Prediction
from torchcross.task import Task

_LARGEST = 2**63 - 1


@final
@dataclass(frozen=True, eq=False)
class EpisodePredictions:
    """The predictions for the query of one episode.

    images     number of each image in the task source that the episode is of
    labels     class positions (N,), or zeros and ones (N, L) for multi-label; -1 where missing
    log_odds   of each class, grade or label (N, C); binary: of both classes
    decisions  what the algorithm answers, in the form of labels
    subjects   an anonymous number of each image's subject; None where subjects are not known

    >>> from torchcross.records import EpisodePredictions
    >>> images, labels, decisions = np.array([4, 7]), np.array([1, 0]), np.array([1, 1])
    >>> log_odds = np.array([[-2.0, 2.0], [-1.0, 1.0]])
    >>> episode = EpisodePredictions(0, images, labels, log_odds, decisions)
    >>> episode.images[episode.decisions != episode.labels]  # those that it got wrong
    array([7])
    >>> episode.prediction.probabilities[0].round(decimals=2)
    tensor([0.1200, 0.8800], dtype=torch.float64)
    """

    episode: int
    images: Indices
    labels: Indices
    log_odds: NDArray[np.floating[Any]]
    decisions: Indices
    subjects: Indices | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def prediction(self) -> Prediction:
        """For `target.evaluate`; probabilities are the sigmoid of the log-odds, in float64."""
        scores = torch.from_numpy(self.log_odds.astype(np.float64))
        decisions = torch.from_numpy(np.array(self.decisions, dtype=np.int64))
        return Prediction(torch.sigmoid(scores), decisions, scores)


@final
class Predictions(Sequence[EpisodePredictions]):
    """The predictions of one algorithm, trained with one seed, at one number of shots, for the
    episodes of one task source. Immutable; item i is the i-th episode that has predictions.

    source     name of the task source: `target` of the records
    task       its task, with the classes of the episodes
    split      the part of the dataset that image numbers count in: "all", or "test" for the row
               `supervised`
    episodes   number of each episode (E,), ascending. An episode whose adaptation diverged has no
               predictions, and is not among them
    sizes      how many query images each of them has (E,)

    sets       prediction sets: whether each class (multi-label: "absent" and "present" of each
               label) is in the set of each row; None where there are none
    sets_absent  why there are none where some were asked for, or ""

    `images`, `labels`, `log_odds`, `decisions` and `subjects` are those of `EpisodePredictions` for
    all episodes, one below the other.
    """

    __slots__ = (
        "_ends",
        "algorithm",
        "decisions",
        "episodes",
        "images",
        "labels",
        "log_odds",
        "seed",
        "sets",
        "sets_absent",
        "shots",
        "sizes",
        "source",
        "split",
        "subjects",
        "task",
    )

    def __init__(
        self,
        *,
        source: str,
        task: Task,
        algorithm: str,
        shots: int,
        seed: int,
        episodes: Any,
        sizes: Any,
        images: Any,
        labels: Any,
        log_odds: Any,
        decisions: Any,
        subjects: Any = None,
        split: str = "all",
        sets: Any = None,
        sets_absent: str = "",
    ) -> None:
        texts = {"source": source, "algorithm": algorithm, "split": split}
        if sets_absent != "":
            texts["sets_absent"] = sets_absent
        for name, text in texts.items():
            if problem := text_problem(name, text):
                raise InputError(f"Predictions: {problem}")
        self.source, self.task, self.split = source, task, split
        self.algorithm, self.shots = algorithm, as_int("shots", shots_number(shots), 0)
        self.seed = as_int("seed", seed, 0)
        self.episodes = _numbers("episodes", episodes)
        if (np.diff(self.episodes) <= 0).any():
            raise InputError("Predictions: episodes do not ascend; give each number once, in order")
        self.sizes = _numbers("sizes", sizes, (len(self.episodes),))
        self._ends = np.cumsum(self.sizes)
        self.images = _numbers("images", images)
        rows = len(self.images)
        if int(self.sizes.sum()) != rows:
            raise InputError(
                f"Predictions: sizes add up to {int(self.sizes.sum())}, and there are {rows}"
                " images; give the number of query images of each episode"
            )
        target = task.target
        answers, highest = (rows, *target.label_shape), len(target.values) - 1
        self.labels = _numbers("labels", labels, answers, MISSING, highest)
        self.decisions = _numbers("decisions", decisions, answers, 0, highest)
        self.log_odds = _log_odds(log_odds, (rows, target.num_classes))
        self.subjects = None if subjects is None else _numbers("subjects", subjects, (rows,))
        members = (*answers, len(target.values))
        self.sets = None if sets is None else _checked_sets(sets, members)
        self.sets_absent = sets_absent

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the columns of `log_odds`."""
        return self.task.classes

    @property
    def rows(self) -> int:
        """How many predictions there are: a row is one query image of one episode."""
        return len(self.images)

    @property
    def episode_of_rows(self) -> Indices:
        """The number of the episode that each row is of."""
        return np.repeat(self.episodes, self.sizes)

    def __len__(self) -> int:
        return len(self.episodes)

    @overload
    def __getitem__(self, item: int) -> EpisodePredictions: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[EpisodePredictions, ...]: ...
    def __getitem__(self, item: int | slice) -> EpisodePredictions | tuple[EpisodePredictions, ...]:
        if isinstance(item, slice):
            return tuple(self[place] for place in range(len(self))[item])
        place = range(len(self))[item]
        rows = slice(int(self._ends[place] - self.sizes[place]), int(self._ends[place]))
        return EpisodePredictions(
            int(self.episodes[place]),
            self.images[rows],
            self.labels[rows],
            self.log_odds[rows],
            self.decisions[rows],
            None if self.subjects is None else self.subjects[rows],
        )

    def __iter__(self) -> Iterator[EpisodePredictions]:
        return (self[place] for place in range(len(self)))

    def scores(self, metrics: Sequence[str] | None = None) -> Iterator[dict[str, Score]]:
        """The metrics of each episode, by default those of the records: they are equal."""
        target = self.task.target
        return (target.evaluate(each.prediction, each.labels, metrics) for each in self)

    def records(self, run: str, metrics: Sequence[str] | None = None) -> Iterator[EpisodeRecord]:
        """The records of these episodes, computed from the predictions."""
        for number, scores in zip(self.episodes.tolist(), self.scores(metrics), strict=True):
            for metric, score in scores.items():
                yield EpisodeRecord(
                    run=run,
                    target=self.source,
                    domain=self.task.domain,
                    algorithm=self.algorithm,
                    shots=self.shots,
                    seed=self.seed,
                    episode=number,
                    metric=metric,
                    value=score.value,
                    reason=score.reason,
                )

    def with_shots(self, shots: int) -> Predictions:
        """The same predictions at another number of shots."""
        slots = (name for name in self.__slots__ if name not in ("_ends", "shots"))
        return Predictions(shots=shots, **{name: getattr(self, name) for name in slots})

    def write(self, path: str | Path) -> Path:
        """Write a ".safetensors" file, whole or not at all, and return its path."""
        from torchcross.records.prediction_files import write_predictions

        return write_predictions(self, Path(path))

    def __repr__(self) -> str:
        return (
            f"Predictions({self.rows} rows: {self.algorithm!r}, {shots_prefix(self.shots)}, seed"
            f" {self.seed}, {len(self)} episodes of {self.source!r})"
        )


def _numbers(
    name: str,
    values: Any,
    shape: tuple[int, ...] | None = None,
    lowest: int = 0,
    highest: int = _LARGEST,
) -> Indices:
    """A read-only int64 copy of whole numbers within bounds."""
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    has_shape = array.ndim == 1 if shape is None else array.shape == shape
    if array.dtype.kind not in "iu" or not has_shape:
        expected = "(N,)" if shape is None else str(shape)
        raise InputError(
            f"Predictions: {name} are {array.dtype} of shape {array.shape}; give whole numbers of"
            f" shape {expected}"
        )
    if array.size and not lowest <= int(array.min()) <= int(array.max()) <= highest:
        raise InputError(
            f"Predictions: {name} lie in {array.min()}..{array.max()}; give numbers from {lowest}"
            f" to {highest}"
        )
    return read_only(array.astype(np.int64))


def _checked_sets(values: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A read-only copy of bools, or of 0 and 1."""
    array = np.asarray(values)
    numbers = array.astype(np.int8) if array.dtype == bool else array
    return read_only(_numbers("sets", numbers, shape, 0, 1).astype(bool))


def _log_odds(values: Any, shape: tuple[int, int]) -> NDArray[np.floating[Any]]:
    """A read-only copy in float32 or float64. NaN stands for a prediction that is not finite."""
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64) or array.shape != shape:
        raise InputError(
            f"Predictions: log_odds are {array.dtype} of shape {array.shape}; give float32 or"
            f" float64 of shape {shape}, one column per class"
        )
    if np.isinf(array).any():
        raise InputError(
            "Predictions: some log_odds are infinite; give the largest number for certainty"
        )
    return read_only(array.copy())

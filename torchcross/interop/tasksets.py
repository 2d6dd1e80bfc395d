"""Episodes as learn2learn tasksets, and tasksets as episodes. learn2learn is not imported.

Its scripts read one batch (data, labels) for each task. They use the samples at 0, 2, 4, ... for
adaptation, as many as there are shots, and all others for evaluation. Both classes keep that order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, final

import torch
from torch import Tensor

from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.targets import MultiClass
from torchcross.task import Task


class _Numbered(Protocol):
    def __getitem__(self, index: int, /) -> Any: ...


@final
class EpisodeTaskset:
    """`EpisodeTaskset(episodes, count)`: `sample()` returns (data, labels) of the next episode.

    `taskset[i]` returns those of episode i. `episodes` is anything that returns episodes by number,
    such as `torchcross.Episodes`. Episodes come in their order, again and again, and no generator
    is used.
    """

    def __init__(self, episodes: _Numbered, count: int) -> None:
        if count < 1:
            raise InputError(
                f"EpisodeTaskset got count={count}; give the number of episodes, 1 or more."
            )
        self.episodes = episodes
        self.count = count
        self._next = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(f"task {index} is outside 0..{self.count - 1}")
        return _alternate(self.episodes[index], index)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[index] for index in range(self.count))

    def sample(self) -> tuple[Tensor, Tensor]:
        index, self._next = self._next, (self._next + 1) % self.count
        return self[index]


@final
class TasksetEpisodes:
    """`TasksetEpisodes(taskset, shots=5)[i]` is task i of a learn2learn taskset as an episode.

    Every class has `shots` samples at the even places, as `NWays`, `KShots(2 * shots)`, `LoadData`
    and `RemapLabels` leave them. `task` names the classes; without it, their names are their
    numbers.
    """

    def __init__(self, taskset: _Numbered, *, shots: int, task: Task | None = None) -> None:
        if shots < 1:
            raise InputError(f"TasksetEpisodes got shots={shots}; give 1 or more.")
        self.taskset = taskset
        self.shots = shots
        self.task = task

    def __len__(self) -> int:
        length = getattr(self.taskset, "__len__", None)
        if length is None:
            raise TypeError(f"a {type(self.taskset).__name__} has no length")
        return int(length())

    def __getitem__(self, index: int) -> Episode:
        data, labels = _checked_pair(self.taskset[index], index)
        codes = sorted(set(labels.tolist()))
        ways = len(codes)
        task = self.task or Task("taskset", MultiClass([str(code) for code in range(max(ways, 2))]))
        if codes != list(range(len(task.classes))):
            raise InputError(
                f"task {index} has the labels {codes[:8]}, and {task.name!r} has"
                f" {len(task.classes)} classes; end the task transforms with RemapLabels, which"
                " makes them 0, 1, 2, ..."
            )
        support = torch.zeros(len(labels), dtype=torch.bool)
        support[: 2 * ways * self.shots : 2] = True
        self._check_shots(labels[support], ways, index)
        return Episode(
            Batch(data[support], labels[support]), Batch(data[~support], labels[~support]), task
        )

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))

    def _check_shots(self, labels: Tensor, ways: int, index: int) -> None:
        counts = labels.bincount(minlength=ways).tolist()
        if counts != [self.shots] * ways:
            raise InputError(
                f"task {index} has {counts} samples of its classes at the even places, and"
                f" shots={self.shots} were asked for; use KShots(dataset, {2 * self.shots}), and"
                " ConsecutiveLabels so that classes stand together."
            )


def _alternate(episode: Episode, index: int) -> tuple[Tensor, Tensor]:
    """Return data and labels with the support at 0, 2, 4, ... and the query at all other places."""
    support, query = episode.support, episode.query
    if len(query) < len(support) - 1:
        raise InputError(
            f"episode {index} has {len(support)} support and {len(query)} query samples;"
            " learn2learn's scripts use every other sample for adaptation, so ask for at least as"
            " many queries as shots."
        )
    count = len(support) + len(query)
    is_support = torch.zeros(count, dtype=torch.bool)
    is_support[: 2 * len(support) : 2] = True
    order = torch.empty(count, dtype=torch.int64)
    order[is_support] = torch.arange(len(support))
    order[~is_support] = torch.arange(len(support), count)
    data, labels = torch.cat([support.x, query.x]), torch.cat([support.y, query.y])
    return data[order.to(data.device)], labels[order.to(labels.device)]


def _checked_pair(pair: Any, index: int) -> tuple[Tensor, Tensor]:
    match pair:
        case [Tensor() as data, Tensor() as labels]:
            if labels.ndim == 1 and len(data) == len(labels):
                return data, labels.long()
    raise InputError(
        f"task {index} is a {type(pair).__name__}; a taskset returns (data, labels), two tensors"
        " with a row per sample"
    )

"""Task sources: a task with samples. Samplers read labels; only `images` reads pixels."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, ReadError, SourceError
from torchcross.targets.labels import Codes, as_array, is_blank
from torchcross.task import Task

_HASH_ROWS = 1 << 20


class TaskSource(ABC):
    """A task with samples. To bring your own storage, subclass, call `super().__init__` and write
    `images`.

    `labels` are raw labels as the task's target takes them (see `Target.encode`); `groups` say
    which subject a sample comes from (integers or strings). Both are validated and encoded here,
    once.
    """

    def __init__(
        self, task: Task, labels: Any, *, groups: Any = None, name: str | None = None
    ) -> None:
        if not isinstance(task, Task):
            raise SourceError(
                f"{type(self).__name__} got {task!r} for its task; give a Task(name, target,"
                " domain=...)"
            )
        self.task = task
        if name is not None and (not isinstance(name, str) or not name.strip()):
            raise SourceError(
                f"{type(self).__name__} got name={name!r}; give a non-empty string, or leave it out"
            )
        self.name: str = name or (f"{task.domain}/{task.name}" if task.domain else task.name)
        self.labels: Codes = read_only(self._encode(labels))
        if len(self.labels) == 0:
            raise SourceError(f"source {self.name!r} has no samples; give at least one")
        self.groups: Indices | None = None
        if groups is not None:
            self.groups = read_only(_group_codes(groups, len(self.labels), self.name))

    def _encode(self, labels: Any) -> Codes:
        return self.task.target.encode(labels, f"labels of source {self.name!r}")

    @abstractmethod
    def images(self, indices: Indices) -> Tensor:
        """The images at `indices` (1-D, any order, repeats allowed) as one tensor, in one read."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore from a pickle, where arrays lose that they are read-only."""
        self.__dict__.update(state)
        read_only(self.labels)
        if self.groups is not None:
            read_only(self.groups)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: Sequence[int] | Indices) -> Tensor:
        """`images`, with indices and result checked and every failure named."""
        wanted = np.asarray(indices, dtype=np.int64)
        if wanted.ndim != 1 or (len(wanted) and (wanted.min() < 0 or wanted.max() >= len(self))):
            raise ReadError(
                f"source {self.name!r} was asked for indices {_some(wanted)}; it has samples"
                f" 0..{len(self) - 1}"
            )
        try:
            images = self.images(wanted)
        except ReadError:
            raise
        except Exception as error:
            self._raise_for_first(wanted)
            raise ReadError(
                f"source {self.name!r} could not read the samples {_some(wanted)} together, though"
                f" each of them alone: {type(error).__name__}: {error}"
            ) from error
        result = f"a {type(images).__name__}"
        if isinstance(images, Tensor):
            if len(images) == len(wanted):
                return images
            result = f"shape {tuple(images.shape)}"
        raise ReadError(
            f"source {self.name!r} returned {result} for {len(wanted)} indices; expected a tensor,"
            " one image each"
        )

    def _raise_for_first(self, wanted: Indices) -> None:
        """Raise for the first sample that cannot be read alone."""
        for index in wanted:
            try:
                self.images(index[None])
            except ReadError:
                raise
            except Exception as error:
                raise ReadError(
                    f"source {self.name!r} could not read sample {index}: {type(error).__name__}:"
                    f" {error}"
                ) from error

    def targets(self, indices: Sequence[int] | Indices) -> Tensor:
        """Codes at `indices` as an int64 tensor: (n,), or (n, L) for multi-label."""
        return torch.from_numpy(self.labels[np.asarray(indices, dtype=np.int64)].astype(np.int64))

    def as_dataset(self, transform: Callable[[Tensor], Any] | None = None) -> SourceDataset:
        """An ordinary torch Dataset of (image, label) pairs."""
        return SourceDataset(self, transform)

    def subset(self, indices: Sequence[int] | Indices, *, name: str | None = None) -> SubsetSource:
        """The samples at `indices`, as a source of its own."""
        return SubsetSource(self, indices, name=name)

    def counts(self) -> dict[str, int]:
        """Samples per class name (per label: samples that have it)."""
        target = self.task.target
        if self.labels.ndim == 1:
            counts = np.bincount(self.labels[self.labels >= 0], minlength=target.num_classes)
        else:
            counts = (self.labels == 1).sum(axis=0)
        return dict(zip(target.classes, counts.tolist(), strict=True))

    def fingerprint(self) -> str:
        """SHA-256 over the target's kind, class names, label values and the encoded labels."""
        target = self.task.target
        head = [target.kind, target.classes, target.values, self.labels.shape]
        digest = hashlib.sha256(json.dumps(head).encode())
        for start in range(0, len(self.labels), _HASH_ROWS):
            rows = self.labels[start : start + _HASH_ROWS]
            digest.update(np.ascontiguousarray(rows, dtype="<i4").tobytes())
        return digest.hexdigest()

    def _repr_html_(self) -> str:
        """How many samples there are of each class, for notebooks."""
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{count}</td></tr>"
            for name, count in self.counts().items()
        )
        return (
            f"<p>{escape(repr(self))}</p><table><thead><tr><th>class</th><th>samples</th></tr>"
            f"</thead><tbody>{rows}</tbody></table>"
        )

    def __repr__(self) -> str:
        groups = "" if self.groups is None else f", {int(self.groups.max()) + 1} subjects"
        return (
            f"{type(self).__name__}({self.name!r}, {len(self)} samples{groups},"
            f" {self.task.target!r})"
        )


class LabelSource(TaskSource):
    """Labels without images, for planning on a machine that does not hold the pixels."""

    def __init__(
        self, labels: Any, task: Task, *, groups: Any = None, name: str | None = None
    ) -> None:
        super().__init__(task, labels, groups=groups, name=name)

    def images(self, indices: Indices) -> Tensor:
        raise ReadError(
            f"source {self.name!r} holds labels only; use a source with images to read episodes"
        )


class SubsetSource(TaskSource):
    """Some samples of another source, e.g. its training split.

    >>> from torchcross.data import toys
    >>> source = toys.binary(100, size=8)
    >>> len(source.subset(np.arange(40)))
    40
    """

    def __init__(
        self, source: TaskSource, indices: Sequence[int] | Indices, *, name: str | None = None
    ) -> None:
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or len(chosen) == 0:
            raise SourceError(
                f"a subset of {source.name!r} got indices {_some(chosen)}; give a non-empty list of"
                " integers"
            )
        if chosen.min() < 0 or chosen.max() >= len(source) or len(np.unique(chosen)) < len(chosen):
            raise SourceError(
                f"a subset of {source.name!r} got indices {_some(chosen)}; give distinct ones in"
                f" 0..{len(source) - 1}"
            )
        self.source = source
        self.indices = read_only(chosen.astype(np.int64))
        groups = None if source.groups is None else source.groups[self.indices]
        name = f"{source.name}[{len(chosen)} of {len(source)}]" if name is None else name
        super().__init__(source.task, source.labels[self.indices], groups=groups, name=name)

    def _encode(self, labels: Any) -> Codes:
        """The labels of another source are codes already."""
        return np.array(labels)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        read_only(self.indices)

    def images(self, indices: Indices) -> Tensor:
        return self.source.images(self.indices[indices])


class SourceDataset(Dataset[tuple[Any, Tensor]]):
    """A task source as an ordinary torch Dataset. A DataLoader reads each batch in one go."""

    def __init__(
        self, source: TaskSource, transform: Callable[[Tensor], Any] | None = None
    ) -> None:
        self.source = source
        self.transform = transform

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Tensor]]:
        images: Iterable[Any] = self.source.read(indices)
        if self.transform is not None:
            images = map(self.transform, images)
        return list(zip(images, self.source.targets(indices), strict=True))


def source_named(name: str, sources: Sequence[TaskSource], owner: str) -> TaskSource:
    """The source of this name; `owner` begins the error text."""
    by_name = {source.name: source for source in sources}
    if name not in by_name:
        raise InputError(f"{owner} no source {name!r}; {suggest(name, by_name)}")
    return by_name[name]


def _group_codes(groups: Any, length: int, name: str) -> Indices:
    """Subjects as integers 0..S-1."""
    array = as_array(groups, f"groups of source {name!r}")
    if array.shape != (length,):
        raise SourceError(
            f"source {name!r} has {length} samples and groups of shape {array.shape}; give one"
            " subject per sample"
        )
    if array.dtype.kind not in "biufOUST":
        raise SourceError(
            f"source {name!r} got groups of dtype {array.dtype}; give integers or strings"
        )
    if array.dtype.kind in "OUST":
        texts = [_subject(item) for item in array.tolist()]
        unknown = np.array([text is None for text in texts])
        names = sorted(filter(None, set(texts)))
        code_of: dict[str | None, int] = {name: code for code, name in enumerate(names)}
        codes = np.array([code_of.get(text, -1) for text in texts], dtype=np.int64)
    else:
        unknown = np.isnan(array) if array.dtype.kind == "f" else np.zeros(length, dtype=bool)
        codes = np.unique(array, return_inverse=True)[1].astype(np.int64)
    if unknown.any():
        raise SourceError(
            f"source {name!r} has no subject for {int(unknown.sum())} sample(s), the first at index"
            f" {int(np.argmax(unknown))}; give every sample a subject (of unknown origin: a subject"
            " of its own)"
        )
    return codes


def _subject(item: Any) -> str | None:
    """One text per subject: 1, 1.0 and "1" are the same. None for NaN, blank and "nan"."""
    if is_blank(item):
        return None
    if isinstance(item, bytes):
        item = item.decode(errors="backslashreplace")
    elif isinstance(item, bool | np.bool_) or (
        isinstance(item, float | np.floating) and item.is_integer()
    ):
        item = int(item)
    text = str(item)
    return None if text.strip().lower() in ("", "nan") else text


def _some(indices: NDArray[Any]) -> str:
    text = np.array2string(np.asarray(indices), threshold=8, edgeitems=4, separator=", ")
    return re.sub(r"\s+", " ", text)

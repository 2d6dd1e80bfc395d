"""Vectors of classes: made by a text tower, or read from a file."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, final

import numpy as np
import torch
from torch import Tensor

from torchcross._kit import tensor_files
from torchcross._kit.npy_files import read_npy
from torchcross._kit.suggestions import suggest
from torchcross._kit.user_files import check_regular
from torchcross.errors import InputError, ReadError
from torchcross.task import Task
from torchcross.text.prompts import NOTHING, ClassPrompts

USUAL_SCALE: Final = 100.0
"""That of CLIP's published weights, where a file of vectors has none."""
_SCALE: Final = "scale"
_LENGTH_ERROR: Final = 1e-12


class Texts(Protocol):
    """Vectors for the prototypes of tasks: `TextVectors`, or `TaskTexts` of several tasks."""

    @property
    def scale(self) -> float: ...
    @property
    def width(self) -> int: ...
    @property
    def origin(self) -> str: ...
    @property
    def digest(self) -> str: ...
    def prototypes(self, task: Task) -> Tensor: ...


class TextEncoder(Protocol):
    """A text tower. `scale` is what it multiplies a cosine by; `name` stands in records."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> float: ...
    def embed(self, texts: Sequence[str]) -> Tensor:
        """One vector (n, D) for each text."""


@final
@dataclass(frozen=True, eq=False)
class TextVectors:
    """A vector of length 1 for each class, and the `scale` of their cosines with images.

    vectors  by the names of classes; one under "nothing" is for images without a label
    scale    the scores of an image are so many times its cosines
    origin   where they come from, for records
    """

    vectors: Mapping[str, Tensor]
    scale: float = USUAL_SCALE
    origin: str = "vectors"
    width: int = field(init=False)

    def __post_init__(self) -> None:
        if not self.vectors:
            raise InputError("TextVectors got no vectors; give one for each class")
        if not (isinstance(self.scale, float | int) and 0 < self.scale < math.inf):
            raise InputError(f"TextVectors got the scale {self.scale!r}; give a positive number")
        unit = {name: _unit(name, value) for name, value in self.vectors.items()}
        widths = {len(value) for value in unit.values()}
        if len(widths) > 1:
            sizes = {name: len(value) for name, value in unit.items()}
            raise InputError(
                f"the vectors of classes have unequal widths: {sizes}; give equal ones"
            )
        object.__setattr__(self, "vectors", unit)
        object.__setattr__(self, "width", widths.pop())

    @property
    def digest(self) -> str:
        """The same for the same numbers."""
        total = hashlib.sha256(repr(float(self.scale)).encode())
        for name in sorted(self.vectors):
            total.update(name.encode() + b"\0" + self.vectors[name].numpy().tobytes())
        return total.hexdigest()

    def prototypes(self, task: Task) -> Tensor:
        """(P, D): a vector for each prototype of the task's target, in float64."""
        names = [NOTHING if name is None else name for name in task.target.prototype_names]
        if missing := [name for name in dict.fromkeys(names) if name not in self.vectors]:
            hint = ""
            if NOTHING in missing:
                hint = " (labels are set against the text 'nothing')"
            raise InputError(
                f"{self.origin}: no vector for {', '.join(map(repr, missing))} of"
                f" {task.name!r}{hint}; {suggest(missing[0], sorted(self.vectors), names)}"
            )
        return torch.stack([self.vectors[name] for name in names])

    def write(self, path: str | Path) -> Path:
        """Write a ".safetensors" file, whole or not at all, and return its path."""
        path = Path(path)
        if path.suffix.lower() != ".safetensors":
            raise InputError(f"{path} has an unknown ending; give one that ends in .safetensors")
        tensor_files.write(path, self.vectors, {_SCALE: repr(float(self.scale))})
        return path

    @classmethod
    def read(
        cls,
        path: str | Path,
        classes: Sequence[str] | None = None,
        *,
        scale: float | None = None,
        prefix: str = "",
    ) -> TextVectors:
        """From a file: .safetensors with a tensor for each class, or .npy with a row for each.

        A tensor is a vector (D,) or the vectors (M, D) of M prompts, whose mean counts. The rows of
        an .npy file are those of `classes`; one more is for no label. `prefix`: a tensor named
        PREFIX/CLASS comes before one named CLASS. `scale` stands in the metadata of a safetensors
        file, or is given; it is 100 otherwise.
        """
        path = Path(path)
        try:
            check_regular(path)
        except OSError as error:
            raise ReadError(
                f"{path} cannot be read ({error.strerror or error}); give a file of vectors"
            ) from error
        readers = {".safetensors": _read_tensors, ".npy": _read_rows}
        if path.suffix.lower() not in readers:
            raise InputError(
                f"{path} has an unknown ending; vectors are in a .safetensors or an .npy file"
            )
        vectors, own_scale = readers[path.suffix.lower()](path, classes)
        specific = f"{prefix}/" if prefix else "\0"
        vectors |= {
            name.removeprefix(specific): value
            for name, value in vectors.items()
            if name.startswith(specific)
        }
        chosen = scale if scale is not None else own_scale
        return cls(vectors, USUAL_SCALE if chosen is None else chosen, path.name)


@final
class TaskTexts:
    """The vectors of several tasks, in which classes of one name may have other texts.

    A task is known by its name and domain: with fewer classes it is the same.

    >>> from torchcross.targets import MultiClass
    >>> from torchcross.text import TaskTexts, TextVectors
    >>> shape = tx.Task("shape", MultiClass(["disc", "star"]), domain="ink")
    >>> sky = tx.Task("object", MultiClass(["sun", "star"]), domain="sky")
    >>> vectors = TextVectors({"disc": torch.tensor([1.0, 0.0]), "star": torch.tensor([0.0, 1.0])})
    >>> others = TextVectors({"sun": torch.tensor([0.6, 0.8]), "star": torch.tensor([1.0, 0.0])})
    >>> texts = TaskTexts([(shape, vectors), (sky, others)])
    >>> texts.prototypes(shape)[1].tolist(), texts.prototypes(sky)[1].tolist()
    ([0.0, 1.0], [1.0, 0.0])
    """

    def __init__(self, of_tasks: Iterable[tuple[Task, TextVectors]]) -> None:
        by_task = {(task.domain, task.name): vectors for task, vectors in of_tasks}
        if not by_task:
            raise InputError("TaskTexts got no vectors; give tasks, each with its own")
        first = next(iter(by_task.values()))
        for (_, name), each in by_task.items():
            if (each.scale, each.width) != (first.scale, first.width):
                raise InputError(
                    f"the texts of {name!r} have the scale {each.scale:g} and {each.width} numbers,"
                    f" and others {first.scale:g} and {first.width}; take them from one model"
                )
        self._by_task = by_task
        self.scale, self.width, self.origin = first.scale, first.width, first.origin

    @property
    def digest(self) -> str:
        texts = [f"{key} {self._by_task[key].digest}" for key in sorted(self._by_task)]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def prototypes(self, task: Task) -> Tensor:
        """As those of `TextVectors`."""
        vectors = self._by_task.get((task.domain, task.name))
        if vectors is None:
            names = [name for _, name in self._by_task]
            raise InputError(f"there are no texts for {task.name!r}; {suggest(task.name, names)}")
        return vectors.prototypes(task)


def text_vectors(encoder: TextEncoder, prompts: ClassPrompts) -> TextVectors:
    """The vectors of prompts, as `class_prompts` makes them.

    That of a class is the mean of its prompts' vectors of length 1, as published for CLIP.
    """
    texts = list(dict.fromkeys(text for each in prompts.values() for text in each))
    if not texts:
        raise InputError("there are no prompts; give a task with classes, and templates")
    rows = encoder.embed(texts).detach().double().cpu()
    places = {text: place for place, text in enumerate(texts)}
    vectors = {
        NOTHING if name is None else name: rows[[places[text] for text in each]]
        for name, each in prompts.items()
    }
    return TextVectors(vectors, encoder.scale, encoder.name)


def _unit(name: str, value: Tensor) -> Tensor:
    """A vector of length 1 in float64, the mean of several of that length."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim not in (1, 2):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InputError(
            f"the vector of {name!r} is {shape}; give floats (D,), or (M, D) of several prompts"
        )
    rows = value.detach().cpu().double()
    if not rows.numel():
        raise InputError(f"the vector of {name!r} is empty; give one with a direction")
    lengths = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    broken = ~(rows.isfinite().all(-1, keepdim=True) & lengths.isfinite() & (lengths > 0))
    if bool(broken.any()):
        of_prompt = f", of prompt {int(broken.flatten().int().argmax())}," if rows.ndim == 2 else ""
        raise InputError(
            f"the vector of {name!r}{of_prompt} is zero, not finite or too long; give one with a"
            " direction"
        )
    mean = (rows / lengths).mean(0) if rows.ndim == 2 else rows
    if not bool(mean.any()):
        raise InputError(f"the vectors of the prompts of {name!r} cancel out; give other prompts")
    length = float(torch.linalg.vector_norm(mean))
    # Once more would change the last bits: what is read is what was written.
    return mean if abs(length - 1) < _LENGTH_ERROR else mean / length


def _read_tensors(
    path: Path, classes: Sequence[str] | None
) -> tuple[dict[str, Tensor], float | None]:
    tensors, metadata = tensor_files.read(path)
    text = metadata.get(_SCALE)
    try:
        return tensors, None if text is None else float(text)
    except ValueError as error:
        raise ReadError(f"{path}: its scale is {text!r}, which is no number") from error


def _read_rows(path: Path, classes: Sequence[str] | None) -> tuple[dict[str, Tensor], float | None]:
    if classes is None:
        raise InputError(f"{path} does not name its rows; give classes=[...], one for each row")
    try:
        rows = read_npy(path)
    except (ValueError, OSError) as error:
        raise ReadError(f"{path} is no .npy file of numbers ({error}); save it again") from error
    if rows.ndim != 2 or rows.dtype.kind != "f" or len(rows) - len(classes) not in (0, 1):
        raise InputError(
            f"{path} has {rows.dtype} {rows.shape}, and there are {len(classes)} classes; give a"
            " row of floats for each, and one more for no label"
        )
    names = [*classes, NOTHING][: len(rows)]
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise InputError(
            f"{path}: {', '.join(map(repr, repeated))} would have several rows; name each class"
            f" once, and none {NOTHING!r} where there is a row for no label"
        )
    values = torch.from_numpy(rows.astype(np.float64))
    return dict(zip(names, values, strict=True)), None

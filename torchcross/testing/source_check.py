"""`check_source`: what samplers and loaders rely on, for any task source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchcross._kit.arrays import Indices, read_only
from torchcross.errors import ReadError
from torchcross.testing.surroundings import (
    foreign_generators,
    generators_left_alone,
    through_pickle,
)

# Reads that follow the ones that are held: a ring of a few buffers comes round again.
_LATER_READS = 8


def check_source(source: Any, samples: int = 12) -> None:
    """Raise AssertionError, naming the contract, unless a task source keeps all of these:

    - one valid label code per sample (-1 where missing), one subject per sample where there are
      `groups`, arrays read-only;
    - `images(indices)` gives one image per index, in that order, repeats included, of one shape
      and dtype, the same every time and under any state of the global generators, and leaves the
      indices alone;
    - what was read belongs to the reader: a later read does not change it, and a change of it in
      place does not change a later read;
    - a pickled copy has the same labels, groups and images, as worker processes need;
    - `targets`, `read` and `as_dataset`, where there are any, agree with the above; `read` refuses
      indices outside the source;
    - the global generators of torch, numpy and Python do not move.

    Up to `samples` images are read several times over; to check all of a small source, give its
    length.
    """
    with generators_left_alone("reading"):
        for contract in (_length, _labels, _groups):
            _raise_first(source, contract(source))
        indices = _spread(len(source.labels), samples)
        _raise_first(source, _indices(source, indices))
        images = _read(source, indices)
        for read_again in (
            _one_by_one,
            _order,
            _purity,
            _ownership,
            _copies,
            _bounds,
            _targets,
            _dataset,
            _buffers,
        ):
            _raise_first(source, read_again(source, indices, images))


def _raise_first(source: Any, sentences: Iterator[str]) -> None:
    for sentence in sentences:
        raise AssertionError(
            f"source {getattr(source, 'name', type(source).__name__)!r}: {sentence}"
        )


def _spread(count: int, samples: int) -> Indices:
    """The first, the last and some between."""
    return np.unique(np.linspace(0, count - 1, num=min(samples, count)).round().astype(np.int64))


# -- labels and groups -----------------------------------------------------------------------------


def _length(source: Any) -> Iterator[str]:
    for name in ("task", "labels", "images", "name"):
        if not hasattr(source, name):
            yield f"it has no `{name}`; a source has a task, a name, labels and images(indices)"
    if len(source.labels) == 0:
        yield "it has no samples"
    if hasattr(source, "__len__") and len(source) != len(source.labels):
        yield f"its length is {len(source)} and it has {len(source.labels)} labels"


def _labels(source: Any) -> Iterator[str]:
    codes, target = source.labels, source.task.target
    if not isinstance(codes, np.ndarray) or codes.dtype.kind != "i":
        yield (
            f"labels are {_kind(codes)}; expected a numpy array of signed integers, e.g."
            " target.encode(labels)"
        )
        return
    per_sample = target.label_shape
    if codes.shape[1:] != per_sample:
        yield f"labels have shape {codes.shape}; {target!r} takes {('N', *per_sample)}"
        return
    highest = target.num_classes - 1 if codes.ndim == 1 else 1
    if len(wrong := np.argwhere((codes < -1) | (codes > highest))):
        place = tuple(wrong[0].tolist())
        yield (
            f"labels hold the code {codes[place]} at {place}; codes are 0..{highest}, or -1 where"
            " missing"
        )
    if codes.flags.writeable:
        yield "labels are writable, so a reader can change them; set labels.flags.writeable = False"


def _groups(source: Any) -> Iterator[str]:
    groups = getattr(source, "groups", None)
    if groups is None:
        return
    if (
        not isinstance(groups, np.ndarray)
        or groups.dtype.kind not in "iu"
        or groups.shape != (len(source.labels),)
    ):
        yield f"groups are {_kind(groups)}; expected one integer per sample"
    elif groups.min() < 0:
        yield f"groups hold {groups.min()}; subjects are numbered from 0"
    elif groups.flags.writeable:
        yield "groups are writable, so a reader can change them; set groups.flags.writeable = False"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


# -- images ----------------------------------------------------------------------------------------


def _read(source: Any, indices: Indices) -> Tensor:
    """`images` at indices that cannot be changed."""
    images = source.images(read_only(indices.copy()))
    if not isinstance(images, Tensor):
        raise AssertionError(
            f"source {source.name!r}: images(indices) gave {type(images).__name__}, not a tensor"
        )
    if images.ndim == 0 or len(images) != len(indices):
        raise AssertionError(
            f"source {source.name!r}: images(indices) gave shape {tuple(images.shape)} for"
            f" {len(indices)} indices"
        )
    return images.clone()


def _same_images(
    images: Tensor, expected: Tensor, indices: Sequence[int] | Indices, reading: str
) -> Iterator[str]:
    if images.shape != expected.shape or images.dtype != expected.dtype:
        yield f"{reading}, images are {_form(images)}, at first they were {_form(expected)}"
        return
    for place, index in enumerate(indices):
        if not torch.equal(_bits(images[place]), _bits(expected[place])):
            yield f"{reading}, the image of sample {int(index)} is another than at first"


def _form(images: Tensor) -> str:
    return f"{images.dtype} {tuple(images.shape)}"


def _bits(image: Tensor) -> Tensor:
    """The image with NaN as a number, so that NaN equals NaN."""
    return image.nan_to_num(nan=12345.0) if image.is_floating_point() else image


def _indices(source: Any, indices: Indices) -> Iterator[str]:
    backwards = indices[::-1].copy()
    source.images(backwards)
    if not np.array_equal(backwards, indices[::-1]):
        yield "images(indices) changed the indices, which belong to the caller"


def _one_by_one(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    for place in range(len(indices)):
        alone = slice(place, place + 1)
        yield from _same_images(
            _read(source, indices[alone]), images[alone], indices[alone], "read one by one"
        )


def _order(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    count = len(indices)
    backwards = np.arange(count)[::-1]
    repeated = np.repeat(backwards, 2)
    mixed = np.concatenate(
        [np.arange(0, count, 2), np.arange(1, count, 2), np.zeros(1, dtype=np.int64)]
    )
    for places, reading in (
        (backwards, "read in reverse"),
        (repeated, "read twice each"),
        (mixed, "read in mixed order"),
    ):
        places = places.astype(np.int64)
        rows, expected = indices[places], images[torch.from_numpy(places)]
        yield from _same_images(_read(source, rows), expected, rows, reading)


def _purity(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    yield from _same_images(_read(source, indices), images, indices, "read again")
    with foreign_generators():
        yield from _same_images(
            _read(source, indices),
            images,
            indices,
            "read under other states of the global random generators",
        )


def _ownership(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    """Images belong to the reader, who may change them in place."""
    mine = source.images(indices.copy())
    before = mine.clone()
    try:
        mine.copy_(torch.zeros_like(before))
    except RuntimeError as error:
        yield (
            f"images(indices) gave images that a reader cannot change in place ({error}); return a"
            " copy, e.g. images.clone()"
        )
        return
    reading = "after a reader changed its images in place"
    sentences = list(_same_images(_read(source, indices), images, indices, reading))
    mine.copy_(before)
    yield from sentences


def _buffers(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    """What was read stays as it is while others are read, as the episodes of a batch do."""
    for method, read in _readers(source):
        earlier = [
            (indices[place : place + 1], read(indices[place : place + 1].copy()))
            for place in range(len(indices))
        ]
        earlier += [(rows, read(rows.copy())) for rows in (indices, indices[::-1], indices)]
        later = indices[: max(len(indices) // 2, 1)]
        for _ in range(_LATER_READS):
            read(later.copy())
        for rows, held in earlier:
            places = torch.from_numpy(np.searchsorted(indices, rows))
            for sentence in _same_images(held, images[places], rows, "held during later reads"):
                yield (
                    f"{sentence}: {method} reuses one buffer, so an earlier read changes with the"
                    " next; give each call a tensor of its own, e.g. buffer.clone()"
                )


def _readers(source: Any) -> Iterator[tuple[str, Callable[[Indices], Tensor]]]:
    """Every way to images by their indices."""
    yield "images(indices)", source.images
    if hasattr(source, "read"):
        yield "read(indices)", source.read
    if hasattr(source, "as_dataset"):
        dataset = source.as_dataset()
        yield "as_dataset()", lambda rows: _items(dataset, rows)


def _items(dataset: Any, rows: Indices) -> Tensor:
    """One item without a copy; several are put together, which copies them."""
    if len(rows) == 1:
        image: Tensor = dataset[int(rows[0])][0]
        return image[None]
    return torch.stack([dataset[row][0] for row in rows.tolist()])


def _copies(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    copy = through_pickle(source, f"source {source.name!r}")
    for name in ("labels", "groups"):
        mine, theirs = getattr(source, name, None), getattr(copy, name, None)
        if not np.array_equal(np.asarray(mine), np.asarray(theirs)):
            yield f"a pickled copy has other {name}"
    yield from _same_images(_read(copy, indices), images, indices, "read from a pickled copy")


# -- the convenience around images -----------------------------------------------------------------


def _bounds(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    if not hasattr(source, "read"):
        return
    yield from _same_images(source.read(indices.tolist()), images, indices, "read by `read`")
    for outside in (len(source.labels), -1):
        if not _refuses(source, outside):
            yield (
                f"read([{outside}]) gave images; there are samples 0..{len(source.labels) - 1}, so"
                " raise ReadError"
            )


def _refuses(source: Any, index: int) -> bool:
    try:
        source.read([index])
    except ReadError:
        return True
    return False


def _targets(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    if hasattr(source, "targets"):
        targets = source.targets(indices)
        if targets.dtype != torch.int64 or not np.array_equal(
            targets.numpy(), source.labels[indices]
        ):
            yield (
                f"targets(indices) are not the labels there, as int64 (got {targets.dtype}"
                f" {tuple(targets.shape)})"
            )


def _dataset(source: Any, indices: Indices, images: Tensor) -> Iterator[str]:
    if not hasattr(source, "as_dataset"):
        return
    dataset = source.as_dataset()
    if len(dataset) != len(source.labels):
        yield f"as_dataset() has {len(dataset)} items for {len(source.labels)} samples"
    for place, index in enumerate(indices.tolist()):
        image, label = dataset[index]
        yield from _same_images(
            image[None], images[place : place + 1], [index], "read through as_dataset()"
        )
        if not np.array_equal(np.asarray(label), source.labels[index]):
            expected = source.labels[index].tolist()
            yield (
                f"as_dataset() labels sample {index} as {np.asarray(label).tolist()}, labels say"
                f" {expected}"
            )

"""Example episodes as files beside the rows, so that a report needs neither data nor models."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from torchcross._kit.content_hash import damage_error, split_hash, with_hash
from torchcross._kit.user_files import check_regular
from torchcross._kit.whole_files import open_whole
from torchcross._kit.zip_files import UNREADABLE_MEMBER
from torchcross.errors import DamageError, InputError
from torchcross.report import Example, Picture

_SIDE = 112
"""Pixels of a picture on the page; of larger images, every second pixel, or third, and so on."""
_LARGEST_PIXELS = 1 << 26
_LARGEST = _LARGEST_PIXELS + (1 << 12)
"""Bytes of an array with its header: 1,700 coloured pictures. A file could claim any number."""
_UNREADABLE = (
    *UNREADABLE_MEMBER,
    InputError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    MemoryError,
    RecursionError,
    struct.error,
)
"""What a damaged or foreign file raises."""
_PIXELS = "sha256 of the pixels"
_ADVICE = "remove it, or run the same again to make it again"
_FIELDS = ("target", "algorithm", "shots", "episode", "metric", "score")


def write_example(path: Path, example: Example) -> None:
    """Write an example, whole or not at all."""
    pictures = [*example.support, *example.query]
    record = {
        **{name: getattr(example, name) for name in _FIELDS},
        "support": len(example.support),
        "pictures": [
            [each.truth, each.predicted, each.confidence, each.belief] for each in pictures
        ],
    }
    pixels = _thin_out(np.stack([each.pixels for each in pictures]))
    record = with_hash({**record, _PIXELS: _hash_of(pixels)})
    text = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
    with open_whole(path) as file:
        np.savez_compressed(file, told=text, pixels=pixels)


def read_example(path: Path, *, hashed: bool = False) -> Example:
    """Read an example; a content hash is checked, and with `hashed` there must be one."""
    try:
        check_regular(path)
        with path.open("rb") as raw, zipfile.ZipFile(raw) as archive:
            record: dict[str, Any] = json.loads(_array(archive, "told").tobytes())
            pixels = _array(archive, "pixels")
        record, has_hash = split_hash(path, record, _ADVICE)
        if hashed and not has_hash:
            raise damage_error(path, _ADVICE, lost=True)
        if record.get(_PIXELS, _hash_of(pixels)) != _hash_of(pixels):
            raise damage_error(path, _ADVICE)
        pictures = [
            Picture(image, *words) for image, words in zip(pixels, record["pictures"], strict=True)
        ]
        count = int(record["support"])
        fields = {name: record[name] for name in _FIELDS}
        return Example(**fields, support=tuple(pictures[:count]), query=tuple(pictures[count:]))
    except _UNREADABLE as error:
        raise InputError(f"{path} is not an example of a run: {error}") from error


def check_example(example: Example, *, target: str, algorithm: str) -> None:
    """Raise a DamageError where a whole example is that of another cell."""
    if (example.target, example.algorithm) != (target, algorithm):
        raise DamageError(
            f"the example is a copy of that of {example.algorithm} for {example.target}"
        )


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    """An array of bytes; its size is known, and bounded, before memory is taken for it."""
    size = archive.getinfo(f"{name}.npy").file_size
    if size > _LARGEST:
        raise ValueError(f"{name} claims {size:,} bytes, and an example has at most {_LARGEST:,}")
    with archive.open(f"{name}.npy") as file:
        if npy_format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} is no array that this library wrote")
        shape, fortran, dtype = npy_format.read_array_header_1_0(file)
        content = file.read(_LARGEST + 1)
    if dtype != np.uint8 or fortran or math.prod(shape) != len(content):
        raise ValueError(f"{name} claims {dtype} {shape} and holds {len(content):,} bytes")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _hash_of(pixels: Any) -> str:
    shape = f"{pixels.dtype.str} {pixels.shape}".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _thin_out(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every second pixel, or third, and so on, until all pictures fit."""
    step = max(1, -(-max(pixels.shape[1:3]) // _SIDE))
    while pixels[:, ::step, ::step].nbytes > _LARGEST_PIXELS and step < max(pixels.shape[1:3]):
        step += 1
    return pixels[:, ::step, ::step]

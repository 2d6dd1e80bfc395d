"""Example episodes as files beside the rows, so that a report needs neither data nor models."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from torchcross._kit.content_hash import damage_error, split_hash, with_hash
from torchcross._kit.whole_files import open_whole
from torchcross.errors import InputError
from torchcross.report import Example, Picture

_SIDE = 112
"""Pixels of a picture on the page; of larger images, every second pixel, or third, and so on."""
_UNREADABLE = (
    InputError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,  # a compression method that zipfile does not know
    MemoryError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
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
    pixels = np.stack([_thin_out(each.pixels) for each in pictures])
    record = with_hash({**record, _PIXELS: _hash_of(pixels)})
    text = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
    with open_whole(path) as file:
        np.savez_compressed(file, told=text, pixels=pixels)


def read_example(path: Path, *, hashed: bool = False) -> Example:
    """Read an example; a content hash is checked, and with `hashed` there must be one."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            record: dict[str, Any] = json.loads(bytes(file["told"]))
            pixels = file["pixels"]
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


def _hash_of(pixels: Any) -> str:
    shape = f"{pixels.dtype.str} {pixels.shape}".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _thin_out(pixels: Any) -> Any:
    step = max(1, -(-max(pixels.shape[:2]) // _SIDE))
    return pixels[::step, ::step]

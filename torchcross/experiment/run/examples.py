"""Example episodes as files beside the rows, so that a report needs neither data nor models."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from torchcross._kit.whole_files import open_whole
from torchcross.errors import InputError
from torchcross.report import Example, Picture

__all__ = ["read_example", "write_example"]

_SIDE = 112
"""Pixels of a picture on the page; larger images are thinned out."""
# NotImplementedError: a compression method that zipfile does not know.
_UNREADABLE = (
    *(
        InputError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        NotImplementedError,
        MemoryError,
    ),
    *(RecursionError, zipfile.BadZipFile, zlib.error, struct.error),
)
_FIELDS = ("target", "algorithm", "shots", "episode", "metric", "score")


def write_example(path: Path, example: Example) -> None:
    """Whole or not at all."""
    pictures = [*example.support, *example.query]
    told = {
        **{name: getattr(example, name) for name in _FIELDS},
        "support": len(example.support),
        "pictures": [[one.truth, one.predicted, one.confidence, one.belief] for one in pictures],
    }
    text = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)
    pixels = np.stack([_thinned(one.pixels) for one in pictures])
    with open_whole(path) as file:
        np.savez_compressed(file, told=text, pixels=pixels)


def read_example(path: Path) -> Example:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            told: dict[str, Any] = json.loads(bytes(file["told"]))
            pixels = file["pixels"]
        pictures = [
            Picture(image, *words) for image, words in zip(pixels, told["pictures"], strict=True)
        ]
        count = int(told["support"])
        fields = {name: told[name] for name in _FIELDS}
        return Example(**fields, support=tuple(pictures[:count]), query=tuple(pictures[count:]))
    except _UNREADABLE as error:
        raise InputError(f"{path} is no example of a run: {error}") from error


def _thinned(pixels: Any) -> Any:
    step = max(1, -(-max(pixels.shape[:2]) // _SIDE))
    return pixels[::step, ::step]

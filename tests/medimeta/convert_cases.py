"""Small sources for the converters, and what a written dataset holds, read back without the
library.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.convert import About, Options

ABOUT = About(id="shapes", domain="Drawings", name="Shapes", license="CC0")
SMALL = Options(size=8, threads=2, tiffs=False)


def picture(number: int, *, size: int = 12, mode: str = "L") -> Image.Image:
    """An image that tells its number: its mean is that number (grey) or a mix of it (RGB)."""
    array = np.full((size, size), number, np.uint8)
    if mode == "RGB":
        array = np.stack([array, 255 - array, array // 2], axis=2)
    return Image.fromarray(array)


def save(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


class Written:
    """A dataset on disk, by h5py, numpy and yaml alone."""

    def __init__(self, folder: Any) -> None:
        self.folder = Path(folder)
        self.info: dict[str, Any] = yaml.safe_load(
            (self.folder / "info.yaml").read_text(encoding="utf-8")
        )
        with h5py.File(self.folder / "images.hdf5") as file:
            self.images: NDArray[np.uint8] = file["images"][:]

    def labels(self, task: str) -> list[Any]:
        return np.load(self.folder / "task_labels" / f"{task}.npy", allow_pickle=False).tolist()

    def names(self, task: str) -> dict[int, str]:
        return next(entry["labels"] for entry in self.info["tasks"] if entry["task_name"] == task)

    def target(self, task: str) -> str:
        return next(
            entry["task_target"] for entry in self.info["tasks"] if entry["task_name"] == task
        )

    def split(self, name: str, kind: str = "splits") -> list[int]:
        path = self.folder / kind / f"{name}.txt"
        if not path.exists():
            return []
        return [int(Path(line).stem) for line in path.read_text().split()]

    def splits(self, kind: str = "splits") -> list[str]:
        place = {row: name for name in ("train", "val", "test") for row in self.split(name, kind)}
        return [place.get(row, "") for row in range(len(self.images))]

    def column(self, name: str) -> list[str]:
        import csv

        with (self.folder / "annotations.csv").open(newline="", encoding="utf-8") as file:
            return [row[name] for row in csv.DictReader(file)]

    def numbers(self) -> list[int]:
        """The numbers that `picture` put in."""
        images = self.images if self.images.ndim == 3 else self.images[..., 0]
        return images.reshape(len(images), -1)[:, 0].tolist()


def split_counts(splits: Iterable[str]) -> dict[str, int]:
    listed = list(splits)
    return {name: listed.count(name) for name in ("train", "val", "test")}


def _png16(colours: int, alpha: int) -> bytes:
    """Pillow writes none: 4 x 4 pixels of 16 bits per channel."""
    rows = (b"\0" + np.full((4, colours + alpha), 300, ">u2").tobytes()) * 4
    kind = {(1, 1): 4, (3, 0): 2, (3, 1): 6}[colours, alpha]
    head = struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held))
        for name, held in chunks
    )


def _tiff16(colours: int) -> bytes:
    pixels = np.full((4, 4, colours), 300, "<u2").tobytes()
    start = 8 + 2 + 12 * 9 + 4
    told = [
        (256, 4),
        (257, 4),
        (258, start),
        (259, 1),
        (262, 2),
        (273, start + 2 * colours),
        (277, colours),
    ]
    told += [(278, 4), (279, len(pixels))]
    entries = b"".join(
        struct.pack("<HHII", tag, 4 - (tag == 258), colours if tag == 258 else 1, n)
        for tag, n in told
    )
    bits = struct.pack(f"<{colours}H", *[16] * colours)
    return b"II*\0" + struct.pack("<IH", 8, 9) + entries + b"\0" * 4 + bits + pixels


def _jpeg_2000() -> bytes:
    """Its header says 16 bits."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG2000")
    held = bytearray(buffer.getvalue())
    depth = held.index(b"\xff\x4f\xff\x51") + 42
    assert held[depth] == 7
    held[depth] = 15
    return bytes(held)


DEEP = {
    "grey and alpha": _png16(1, 1),
    "rgb": _png16(3, 0),
    "rgba": _png16(3, 1),
    "tiff": _tiff16(3),
    "jpeg 2000": _jpeg_2000(),
    "ppm": b"P6 4 4 65535\n" + np.full((4, 4, 3), 300, ">u2").tobytes(),
}

"""The images once more, one uncompressed TIFF each, as the format has them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from medimeta_adapter.writing.pixel_file import PixelFile

__all__ = ["write_tiffs"]

_BLOCK = 1 << 22


def write_tiffs(folder: Path, pixels: PixelFile, rows: int, name: Callable[[int], str]) -> None:
    """`folder / name(row)` for every row, by as many threads as there are processors, a few MiB in
    memory each.
    """
    header = _header(pixels)
    step = max(1, _BLOCK // pixels.row_bytes)

    def write(first: int) -> None:
        count = min(step, rows - first)
        block = memoryview(pixels.read(first, count))
        for n in range(count):
            image = block[n * pixels.row_bytes : (n + 1) * pixels.row_bytes]
            content = _encoded(image, pixels.image_shape) if header is None else header + image
            with (folder / name(first + n)).open("wb", buffering=0) as file:
                file.write(content)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for _ in threads.map(write, range(0, rows, step)):
            pass


def _header(pixels: PixelFile) -> bytes | None:
    """What Pillow puts before the pixels: the same for all images of one shape, where the pixels
    come last.
    """
    image = memoryview(pixels.read(0))
    whole = _encoded(image, pixels.image_shape)
    return whole[: -len(image)] if whole.endswith(image) else None


def _encoded(image: memoryview, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.frombuffer(image, np.uint8).reshape(shape)).save(file, "TIFF")
    return file.getvalue()

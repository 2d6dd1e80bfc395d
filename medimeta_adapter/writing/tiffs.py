"""The images once more, as one uncompressed TIFF file each."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from medimeta_adapter.writing.pixel_file import PixelFile

_BLOCK_BYTES = 1 << 22


def write_tiffs(
    folder: Path,
    pixels: PixelFile,
    rows: int,
    name: Callable[[int], str],
    progress: Callable[[int, int], object],
) -> None:
    """Write `folder / name(row)` for every row, with one thread per processor, eight at most.

    `progress` is called with the numbers of files that are written and of all.
    """
    header = _shared_header(pixels)
    step = max(1, _BLOCK_BYTES // pixels.row_bytes)

    def write_block(first: int) -> None:
        count = min(step, rows - first)
        block = memoryview(pixels.read(first, count))
        for place in range(count):
            image = block[place * pixels.row_bytes : (place + 1) * pixels.row_bytes]
            content = _as_tiff(image, pixels.image_shape) if header is None else header + image
            with (folder / name(first + place)).open("wb", buffering=0) as file:
                file.write(content)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        starts = range(0, rows, step)
        for first, _ in zip(starts, threads.map(write_block, starts), strict=True):
            progress(min(first + step, rows), rows)


def _shared_header(pixels: PixelFile) -> bytes | None:
    """Return what Pillow writes before the pixels of an image, the same for all of one shape.

    None stands for a Pillow that does not write the pixels last.
    """
    image = memoryview(pixels.read(0))
    content = _as_tiff(image, pixels.image_shape)
    return content[: -len(image)] if content.endswith(image) else None


def _as_tiff(image: memoryview, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.frombuffer(image, np.uint8).reshape(shape)).save(file, "TIFF")
    return file.getvalue()

"""Arrays in .npy files: the header is checked before the content, and nothing is unpickled."""

from __future__ import annotations

import math
import re
import warnings
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

BROKEN_HEADER: Final = (
    *(ValueError, TypeError, SyntaxError, RecursionError, MemoryError),
    *(OverflowError, KeyError, EOFError, TokenError),
)
"""What numpy raises where a header, an expression in Python's grammar, is damaged."""

_LONGEST_HEADER: Final = 4096
_SHOWN: Final = 120


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a file; a ValueError says what is wrong with it, and an OSError with reading."""
    with path.open("rb") as file:
        shape, is_fortran, dtype = read_npy_header(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects (a pickle), which are never loaded")
        if not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"its header claims the shape {str(shape)[:_SHOWN]}")
        claimed = math.prod(shape) * dtype.itemsize
        held = path.stat().st_size - file.tell()
        if claimed != held:
            raise ValueError(f"its header claims {claimed:,} bytes of {dtype}, and {held:,} follow")
        content = bytearray(claimed)
        file.readinto(content)
    # An array of no values has no bytes, which `frombuffer` refuses.
    flat = np.frombuffer(content, dtype) if claimed else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and dtype; a ValueError says what is wrong. It reads at most 4096 bytes."""
    start = file.read(12)
    if start[:6] != npy.MAGIC_PREFIX:
        raise ValueError(
            f"not an .npy file (it begins with {start[:6]!r}); write it with numpy.save"
        )
    version, is_long = start[6:8], start[6:7] != b"\x01"
    begin = 12 if is_long else 10
    length = int.from_bytes(start[8:begin], "little")
    if version not in (b"\x01\x00", b"\x02\x00", b"\x03\x00") or length > _LONGEST_HEADER:
        raise ValueError(
            f"an .npy header of version {version!r} and {length:,} bytes; expected version 1 to 3"
            f" and at most {_LONGEST_HEADER:,}"
        )
    file.seek(0)
    header = BytesIO(file.read(begin + length))
    read = npy.read_array_header_2_0 if is_long else npy.read_array_header_1_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            npy.read_magic(header)
            return read(header, max_header_size=_LONGEST_HEADER)
    except BROKEN_HEADER as error:
        # An address in memory is another one the next time.
        reason = re.sub(r" at 0x[0-9a-f]+", "", str(error))[:_SHOWN]
        raise ValueError(f"a broken .npy header: {reason}") from None

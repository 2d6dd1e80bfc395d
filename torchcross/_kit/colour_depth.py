"""Images of more than 8 bits per colour, of which Pillow loads 8 and says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_WHOLE = frozenset({"1", "I", "F", "P", "PA"})
# Start of a codestream, followed by its image size (ISO/IEC 15444-1, A.5.1).
_JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
_JPEG_2000_DEPTH = 38
_LOOKED_AT = 1 << 16


def loses_bits(image: Image) -> bool:
    """Whether loading an image, which is opened and not yet loaded, keeps 8 of more bits."""
    if image.mode in _WHOLE or image.mode.startswith("I;"):
        return False
    return any(_is_deep(image, tile) for tile in getattr(image, "tile", ()))


def _is_deep(image: Image, tile: Any) -> bool:
    if image.format == "JPEG2000":
        return _jpeg_2000_bits(image) > 8
    # A tile is (decoder, box, offset, the decoder's arguments).
    arguments = tile[3] if isinstance(tile[3], tuple | list) else (tile[3],)
    if image.format == "PPM":
        return any(isinstance(entry, int) and entry > 255 for entry in arguments)
    return any(isinstance(entry, str) and ";16" in entry for entry in arguments)


def _jpeg_2000_bits(image: Any) -> int:
    """Return the bits of the first component."""
    place = image.fp.tell()
    image.fp.seek(0)
    size = image.fp.read(_LOOKED_AT).partition(_JPEG_2000_SIZE)[2]
    image.fp.seek(place)
    # The highest bit says whether values have a sign; the others are the depth less one.
    return (size[_JPEG_2000_DEPTH] & 0x7F) + 1 if len(size) > _JPEG_2000_DEPTH else 0

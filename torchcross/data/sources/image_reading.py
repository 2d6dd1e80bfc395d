"""One image of a file, as a tensor; an error names the file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from torch import Tensor

from torchcross.data.sources.flattening import Flattening
from torchcross.data.sources.images import Mode, Size, image_tensor
from torchcross.errors import ReadError

_REMEDY: Final = "repair it, or take it out of the folder"


def read_image_file(
    path: Path,
    mode: Mode,
    size: Size | None,
    flattening: Flattening,
    *,
    place: str = "cannot read",
) -> Tensor:
    """The image of a file as `image_tensor` makes it; `place` begins the text of an error."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image_tensor(image, mode, size, flattening)
    except UnidentifiedImageError as error:
        text = f"it is no image, or one of an unknown format; {_REMEDY}"
        raise ReadError(f"{place} file {path}: {text}") from error
    except Exception as error:
        # What Pillow says of a damaged file; errors of the system have a number.
        is_of_system = isinstance(error, OSError) and error.errno is not None
        is_damage = isinstance(error, OSError | SyntaxError) and not is_of_system
        remedy = f"; {_REMEDY}" if is_damage else ""
        raise ReadError(f"{place} file {path}: {error}{remedy}") from error

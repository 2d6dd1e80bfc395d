"""Images laid over a background and brought to 8 bits, with what a reader must know of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import numpy as np

from torchcross._kit.argument_checks import is_integer
from torchcross._kit.backgrounds import (
    BACKGROUNDS,
    DEFAULT_BACKGROUND,
    Background,
    background_value,
)
from torchcross.errors import SourceError, TorchcrossWarning

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

_ALL_BITS: Final = 16
_BITS_IN_DOUBT: Final = 12
"""The greatest depth that is taken for that of a device whose files have 16 bits."""


@final
@dataclass(frozen=True)
class Remark:
    """What must be said of an image that was read.

    one_colour   it became one colour over its background
    is_deep      its file has more than 8 bits for each pixel
    likely_bits  how many its values need, where nobody said how many they have and they leave most
                 of 16 bits empty; else 0
    loses_bits   it is in colour with more than 8 bits for each channel, of which the upper 8 were
                 read
    """

    one_colour: bool = False
    is_deep: bool = False
    likely_bits: int = 0
    loses_bits: bool = False

    def __or__(self, other: Remark) -> Remark:
        return Remark(
            one_colour=self.one_colour or other.one_colour,
            is_deep=self.is_deep or other.is_deep,
            likely_bits=max(self.likely_bits, other.likely_bits),
            loses_bits=self.loses_bits or other.loses_bits,
        )


OnRemark = Callable[[Remark], None]


def with_remark(read: Callable[[OnRemark], T]) -> tuple[T, Remark]:
    """What `read` returns, and the remarks that it made, as one."""
    remarks: list[Remark] = []
    return read(remarks.append), reduce(or_, remarks, Remark())


def ignore_remark(remark: Remark) -> None:
    """For those whom no remark concerns."""


def checked_background(background: Any, owner: str) -> Background:
    for known in BACKGROUNDS:
        if background == known:
            return known
    raise SourceError(
        f"{owner} got background={background!r}; it is {', '.join(map(repr, BACKGROUNDS))}"
    )


def checked_bits(bits: Any, owner: str) -> int | None:
    if bits is None:
        return None
    if not is_integer(bits) or not 8 <= int(bits) <= _ALL_BITS:
        raise SourceError(
            f"{owner} got bits={bits!r}, which is no depth of an image; give 8 to {_ALL_BITS}"
        )
    return int(bits)


@final
@dataclass(frozen=True)
class Flattening:
    """How images lose their transparency and get 8 bits.

    background  what transparent parts are laid over
    bits        how many bits the values of 16-bit files have; None where nobody said it: then 16,
                with a remark on images that have fewer
    on_remark   called with what must be said of an image, which may be in several parts
    """

    background: Background = DEFAULT_BACKGROUND
    bits: int | None = None
    on_remark: OnRemark = ignore_remark

    def check_channels(self) -> None:
        """Refuse `bits` for an image of several deep channels, of which Pillow reads 8 bits."""
        if self.bits is not None:
            raise ValueError(
                "it has several channels of more than 8 bits, of which the upper 8 are read, and"
                f" {_option(self.bits)} applies to grey files of one"
                " channel alone: scale its values to 8 bits, or save it as grey of 16 bits"
            )

    def eight_bits(self, image: Image) -> Image:
        """0..2^bits - 1 onto 0..255, rounded. Transparent values are replaced."""
        from PIL import Image

        values = np.array(image).astype(np.int64)
        white = (1 << (self.bits or _ALL_BITS)) - 1
        clear = np.zeros(values.shape, np.bool_)
        if "transparency" in image.info:
            clear = values == image.info["transparency"]
        greatest = int(values[~clear].max(initial=0))
        if greatest > white:
            raise ValueError(
                f"its values reach {greatest}, and {self.bits} bits hold 0..{white}; give"
                f" {_option(greatest.bit_length())}, or how many the values have"
            )
        was_one_colour = values.min() == values.max()
        values[clear] = background_value(self.background, white)
        is_in_doubt = self.bits is None and 0 < greatest.bit_length() <= _BITS_IN_DOUBT
        self.on_remark(
            Remark(
                one_colour=bool(not was_one_colour and values.min() == values.max()),
                is_deep=True,
                likely_bits=max(8, greatest.bit_length()) if is_in_doubt else 0,
            )
        )
        # No value lies halfway between two bytes, because 2^bits - 1 is odd.
        return Image.fromarray(((510 * values + white) // (2 * white)).astype(np.uint8))

    def flat(self, image: Image) -> Image:
        """Without transparency, and of a mode that goes to RGB and L alike."""
        from PIL import Image

        if image.mode in ("I", "F"):
            raise ValueError(
                f"its pixels are 32-bit ({image.mode}), whose range nobody declares; scale such"
                " images to 8 or 16 bits first"
            )
        if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
            # Pillow has no way from "La" to "RGBA" but through "LA".
            clear = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
            colour = (background_value(self.background),) * 3
            behind = Image.new("RGBA", clear.size, (*colour, 255))
            flat = Image.alpha_composite(behind, clear).convert("RGB")
            if _is_one_colour(flat) and not _is_one_colour(clear):
                self.on_remark(Remark(one_colour=True))
            return flat
        return image.convert("RGB") if image.mode == "LAB" else image


PLAIN: Final = Flattening()


def _option(bits: int) -> str:
    return f"--bits {bits} (in Python, bits={bits})"


def _is_one_colour(image: Image) -> bool:
    # Of an image of several channels, Pillow gives a pair for each.
    pairs: Any = image.getextrema()
    return all(least == most for least, most in pairs)


@final
class ImageWarnings:
    """Warns of the first image that becomes one colour, is of a depth in doubt, or loses bits."""

    def __init__(self, owner: str, background: Background) -> None:
        self._owner = owner
        self._background = background
        self._silent: set[str] = set()

    def warn(self, image: str, remark: Remark) -> None:
        if remark.one_colour:
            others = " or ".join(repr(name) for name in BACKGROUNDS if name != self._background)
            self._once(
                "background",
                f"{image} of {self._owner} becomes one colour, because its transparent parts are"
                f" laid over {self._background}; give background={others} (--background)",
            )
        if bits := remark.likely_bits:
            self._once(
                "bits",
                f"{image} of {self._owner} has 16 bits, and no value above {(1 << bits) - 1}: it"
                f" is read as nearly black, and has {bits} bits more likely; give"
                f" {_option(bits)}, or {_ALL_BITS} where it is so dark",
            )
        if remark.loses_bits:
            self._once(
                "colour",
                f"{image} of {self._owner} has more than 8 bits for each channel, and the upper 8"
                " of 16 are read: values of fewer bits become nearly black; scale its values to 8"
                " bits, or save it as grey of 16 bits",
            )

    def _once(self, option: str, text: str) -> None:
        if option in self._silent:
            return
        self._silent.add(option)
        warnings.warn(f"{text}. Further such images are not named", TorchcrossWarning, stacklevel=3)

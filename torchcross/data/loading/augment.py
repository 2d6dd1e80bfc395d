"""Augmentation and normalisation of whole batches, on whatever device they are.

What happens to an image is a function of (seed, number of its episode or batch, part, position in
it) alone. A warp reads every output pixel once, from the place that one affine matrix gives it:
rotation and crop-and-resize together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self, overload

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor

from torchcross._kit.argument_checks import as_int, check_choice, is_number
from torchcross._kit.randomness import Stream, below_array, unit_numbers
from torchcross.data.loading.batches import LabelledBatch
from torchcross.episode import Episode
from torchcross.errors import InputError, MissingExtraError

# The words of one image, in this order; the last is spare, so that images start at whole blocks of
# the generator. A change here changes every augmented image there ever was.
_HORIZONTAL, _VERTICAL, _ROTATE, _ANGLE, _CROP, _LEFT, _TOP = range(7)
_WORDS_PER_IMAGE = 8

_Warp = Callable[..., Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random flips, then a rotation about the centre, then a crop that is resized back.

    Call it with an episode or a batch: `augment(episode)`. `rotation` is in degrees,
    counter-clockwise: r draws from [-r, r), a pair (low, high) from [low, high). `crop` is the side
    of the crop as a fraction of the image's; it lies at whole pixels, all places equally likely.
    `padding` fills what a rotation brings in from outside: "zeros", "border" (the nearest pixel) or
    "reflection".

    Takes uint8 and floating images, with channels or without, and returns their type. Nothing is
    changed in place; an image for which nothing was drawn, or only flips, keeps its values to the
    bit. Every decision has words of its own: another probability for one changes no other decision.
    """

    horizontal_flip: float = 0.25
    vertical_flip: float = 0.25
    rotation: float | tuple[float, float] = 10.0
    rotation_probability: float = 1.0
    crop: float = 200 / 224
    crop_probability: float = 0.25
    seed: int = 0
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    padding: Literal["zeros", "border", "reflection"] = "zeros"

    def __post_init__(self) -> None:
        for name in (
            "horizontal_flip",
            "vertical_flip",
            "rotation_probability",
            "crop_probability",
        ):
            _within(name, getattr(self, name), 0.0, 1.0)
        _check_rotation(self.rotation)
        if _within("crop", self.crop, 0.0, 1.0) == 0.0:
            raise InputError(
                "crop=0 leaves nothing of an image; give the crop's side as a fraction, e.g. 200"
                " / 224"
            )
        as_int("seed", self.seed, least=0)
        check_choice("interpolation", self.interpolation, ("bilinear", "nearest"))
        check_choice("padding", self.padding, ("zeros", "border", "reflection"))

    @classmethod
    def medimeta(cls, seed: int = 0) -> Self:
        """The augmentation that the MedIMeta baselines were pre-trained with.

        Each flip with p = .25, always a rotation by up to 10 degrees with black corners, and with
        p = .25 a crop of 200 of 224 pixels.
        """
        return cls(seed=seed)

    @overload
    def __call__(
        self, item: Episode, *, query: bool = False, index: int | None = None
    ) -> Episode: ...
    @overload
    def __call__(self, item: LabelledBatch, *, index: int | None = None) -> LabelledBatch: ...
    def __call__(
        self, item: object, *, query: bool = False, index: int | None = None
    ) -> Episode | LabelledBatch:
        """The same episode or batch with other images: the support, and with `query` the query too.

        `index` replaces the number in the item's plan, e.g. by a step counter where episodes are
        used again.
        """
        if isinstance(item, Episode):
            return self._episode(item, query, index)
        if isinstance(item, LabelledBatch):
            if query:
                raise InputError("query=True needs an Episode; a LabelledBatch has no query")
            number = item.plan.index if index is None else index
            return item.map(lambda images: self.apply(images, index=number, part="batch"))
        raise InputError(
            f"Augmentation got a {type(item).__name__}; give an Episode or a LabelledBatch, on"
            " whose number the draws depend (so it is no loader's transform=: call it on what the"
            " loader yields), or use apply(images, index=)"
        )

    def apply(
        self, images: Shaped[Tensor, "n *C H W"], *, index: int, part: str = "support"
    ) -> Shaped[Tensor, "n *C H W"]:
        """New images for the `part` of episode or batch number `index`."""
        _check_images("Augmentation", images)
        number = as_int("index", index, least=0)
        stream, count = Stream(int(self.seed), "augmentation", part), len(images)
        words = stream.sequence(number, count * _WORDS_PER_IMAGE).reshape(count, _WORDS_PER_IMAGE)
        changed = images.clone()
        for word, probability, side in (
            (_HORIZONTAL, self.horizontal_flip, -1),
            (_VERTICAL, self.vertical_flip, -2),
        ):
            rows = _rows(unit_numbers(words[:, word]) < probability, images.device)
            changed[rows] = changed[rows].flip(side)
        warp = self._warp()
        if warp is None:
            return changed
        matrices, moved = self._matrices(words, *images.shape[-2:])
        rows = _rows(moved, images.device)
        if len(rows):
            changed[rows] = self._apply_warp(warp, changed[rows], matrices[moved])
        return changed

    def _episode(self, episode: Episode, query: bool, index: int | None) -> Episode:
        if index is None:
            if episode.plan is None:
                raise InputError(f"{episode!r} has no plan, so no number to draw for; give index=")
            index = episode.plan.index
        episode = replace(
            episode, support=episode.support.map(partial(self.apply, index=index, part="support"))
        )
        if not query:
            return episode
        return replace(
            episode, query=episode.query.map(partial(self.apply, index=index, part="query"))
        )

    def _angles(self) -> tuple[float, float]:
        if isinstance(self.rotation, tuple):
            return self.rotation
        return -self.rotation, self.rotation

    def _warp(self) -> _Warp | None:
        """The warp where images may need one."""
        # Whether or not these images need it: a missing kornia is an error at the first call.
        rotates = self.rotation_probability > 0 and self._angles() != (0, 0)
        if not rotates and (self.crop_probability == 0 or self.crop == 1):
            return None
        try:
            from kornia.geometry.transform import remap
        except ImportError as error:
            raise MissingExtraError(
                "rotating and cropping need kornia, which is not installed; pip install"
                " 'torchcross-fewshot[augment]'"
            ) from error
        return remap

    def _matrices(
        self, words: NDArray[np.uint64], height: int, width: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(n, 2, 3) matrices: where (x, y, 1) of the output is read; and which images move."""
        low, high = self._angles()
        rotated = unit_numbers(words[:, _ROTATE]) < self.rotation_probability
        angle = np.where(rotated, low + (high - low) * unit_numbers(words[:, _ANGLE]), 0.0)
        cropped = unit_numbers(words[:, _CROP]) < self.crop_probability
        x_scale, x_start = _crop(words[:, _LEFT], cropped, width, self.crop)
        y_scale, y_start = _crop(words[:, _TOP], cropped, height, self.crop)
        x_centre, y_centre = (width - 1) / 2, (height - 1) / 2
        # Rounded, so that right angles are exact and the last bit of a machine's cosine does not
        # matter.
        cos, sin = np.cos(np.radians(angle)).round(15), np.sin(np.radians(angle)).round(15)
        x_from_centre, y_from_centre = x_start - x_centre, y_start - y_centre
        # The crop's affine map first, then the rotation about the centre.
        x_shift = cos * x_from_centre - sin * y_from_centre + x_centre
        y_shift = sin * x_from_centre + cos * y_from_centre + y_centre
        x_row = np.stack([cos * x_scale, -sin * y_scale, x_shift], axis=1)
        y_row = np.stack([sin * x_scale, cos * y_scale, y_shift], axis=1)
        matrices = np.stack([x_row, y_row], axis=1)
        return matrices, (angle != 0) | (x_scale != 1) | (y_scale != 1)

    def _apply_warp(
        self, warp: _Warp, images: Shaped[Tensor, "n *C H W"], matrices: NDArray[np.float64]
    ) -> Shaped[Tensor, "n *C H W"]:
        height, width = images.shape[-2:]
        kind = torch.float64 if images.dtype == torch.float64 else torch.float32
        # kornia's affine warps multiply matrices, in TF32 where that is switched on. Laid out
        # elementwise, the places an image is read from depend neither on such settings nor on its
        # neighbours in the batch.
        terms = torch.from_numpy(matrices).to(images.device, kind)[..., None, None]
        x = torch.arange(width, device=images.device, dtype=kind)
        y = torch.arange(height, device=images.device, dtype=kind)[:, None]
        x_map, y_map = (
            terms[:, axis, 0] * x + (terms[:, axis, 1] * y + terms[:, axis, 2]) for axis in (0, 1)
        )
        # Zeros as in Pillow: a pixel is black or of the image, not a blend, so a crop at the edge
        # keeps its edge.
        fills_black = self.padding == "zeros"
        pixels = images.to(kind).reshape(len(images), -1, height, width)
        mode = "border" if fills_black else self.padding
        result = warp(
            pixels, x_map, y_map, mode=self.interpolation, padding_mode=mode, align_corners=True
        )
        if fills_black:
            in_width = x_map == x_map.clamp(-0.5, width - 0.5)
            in_height = y_map == y_map.clamp(-0.5, height - 0.5)
            result = result.where((in_width & in_height)[:, None], 0)
        if not images.is_floating_point():
            result = result.round_().clamp_(0, 255)
        return result.reshape(images.shape).to(images.dtype)


@dataclass(frozen=True, slots=True)
class Normalise:
    """(x - mean) / std per channel, as float32.

    uint8 images are divided by 255 first; floating ones are taken to be in [0, 1] already. Images
    without channels have one. It can be a loader's `transform=`, and `episode.map(normalise)`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _channels("mean", self.mean))
        object.__setattr__(self, "std", _channels("std", self.std))
        if len(self.mean) != len(self.std):
            raise InputError(
                f"mean has {len(self.mean)} channels and std {len(self.std)}; give one of each per"
                " channel"
            )
        if min(self.std) <= 0:
            raise InputError(f"std={self.std} is not above 0 for every channel")

    @classmethod
    def imagenet(cls) -> Self:
        """The ImageNet training images' mean and deviation, which published backbones expect."""
        return cls((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def __call__(self, images: Shaped[Tensor, "n *C H W"]) -> Float32[Tensor, "n *C H W"]:
        _check_images("Normalise", images)
        channels = images.shape[1] if images.ndim == 4 else 1
        if channels != len(self.mean):
            raise InputError(
                f"Normalise with {len(self.mean)} channels got images of shape"
                f" {tuple(images.shape)}, which have {channels}; give as many (grey as colour:"
                " images.expand(-1, 3, -1, -1)), or other means"
            )
        shape = (len(self.mean), 1, 1) if images.ndim == 4 else ()
        mean = torch.tensor(self.mean, device=images.device).reshape(shape)
        std = torch.tensor(self.std, device=images.device).reshape(shape)
        values = images.to(torch.float32)
        if not images.is_floating_point():
            values = values / 255
        return (values - mean) / std


def _crop(
    words: NDArray[np.uint64], cropped: NDArray[np.bool_], side: int, fraction: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and start along one side: output pixel i is read at scale * i + start."""
    length = max(round(fraction * side), 1)
    first = below_array(words, np.full(len(words), side - length + 1, dtype=np.uint64))
    scale = np.where(cropped, length / side, 1.0)
    # Pixels have their centres at halves.
    return scale, np.where(cropped, first, 0) + 0.5 * scale - 0.5


def _rows(chosen: NDArray[np.bool_], device: torch.device) -> Int64[Tensor, " m"]:
    return torch.from_numpy(np.flatnonzero(chosen)).to(device)


def _check_images(caller: str, images: Tensor) -> None:
    if images.ndim not in (3, 4):
        raise InputError(
            f"{caller} got images of shape {tuple(images.shape)}; give a batch (n, C, H, W), or"
            " (n, H, W) if grey"
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise InputError(
            f"{caller} got images of type {images.dtype}; convert them to uint8 (0..255) or a"
            " floating type first"
        )


def _check_rotation(rotation: object) -> None:
    if not isinstance(rotation, tuple):
        _within("rotation", rotation, 0.0, 360.0)
        return
    if len(rotation) != 2:
        raise InputError(f"rotation={rotation!r} is not a pair (lowest, highest) of degrees")
    low, high = (
        _within(f"rotation[{end}]", angle, -360.0, 360.0) for end, angle in enumerate(rotation)
    )
    if low > high:
        raise InputError(f"rotation={rotation!r}: the highest is below the lowest")


def _within(name: str, value: object, least: float, most: float) -> float:
    if not is_number(value) or not least <= value <= most:
        raise InputError(f"{name}={value!r} is not a number from {least:g} to {most:g}")
    return float(value)


def _channels(name: str, values: object) -> tuple[float, ...]:
    numbers = tuple(values) if isinstance(values, Iterable) else ()
    if not numbers or not all(is_number(number) and math.isfinite(number) for number in numbers):
        raise InputError(f"{name}={values!r} does not have one finite number per channel")
    return tuple(float(number) for number in numbers)

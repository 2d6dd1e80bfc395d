"""Every step on known pixels; orders, ranges and depths that make no sense are refused."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medimeta_adapter import preprocess
from medimeta_adapter.preprocess import (
    RGB,
    CentreCropSquare,
    DropAlpha,
    ExpandPalette,
    Grey,
    PadSquare,
    PreprocessingStep,
    Recipe,
    Resize,
    ScaleByBits,
    ScaleByPercentile,
    ScaleByRange,
    Upright,
    Window,
    centred_slices,
    standard,
    window,
)
from tests.medimeta.convert_cases import DEEP
from torchcross.errors import InputError

STEPS: list[PreprocessingStep] = [
    *(
        Upright(),
        ExpandPalette(),
        DropAlpha("white"),
        Grey(),
        RGB(),
        CentreCropSquare(),
        PadSquare(),
    ),
    *(
        Resize(8),
        Resize((4, 6), "nearest"),
        ScaleByBits(12),
        ScaleByRange(0, 1),
        ScaleByRange(),
        ScaleByPercentile(),
    ),
    Window(40, 400),
]


def numbered(height: int, width: int) -> np.ndarray[Any, Any]:
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_a_step_says_itself(step: PreprocessingStep) -> None:
    assert eval(repr(step), vars(preprocess)) == step
    assert step.describe()
    assert type(step)(**asdict(step)) == step  # type: ignore[call-overload]


def test_crop_takes_the_middle() -> None:
    np.testing.assert_array_equal(CentreCropSquare()(numbered(2, 5)), [[1, 2], [6, 7]])
    np.testing.assert_array_equal(CentreCropSquare()(numbered(4, 2)), [[2, 3], [4, 5]])
    assert CentreCropSquare()(Image.new("RGB", (7, 3))).size == (3, 3)


def test_pad_puts_zeros_on_both_sides() -> None:
    padded = PadSquare()(numbered(1, 4) + np.uint8(1))
    np.testing.assert_array_equal(padded, [[0, 0, 0, 0], [1, 2, 3, 4], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert PadSquare()(np.ones((5, 2, 3), np.uint8)).sum() == 30


def test_pad_refuses_what_would_be_margin_alone() -> None:
    with pytest.raises(InputError, match=r"1 x 40000 would become 40000 x 40000.*--fit crop"):
        PadSquare()(np.zeros((1, 40000, 3), np.uint8))
    assert PadSquare()(np.zeros((1, 3000), np.uint8)).shape == (3000, 3000)
    assert PadSquare()(np.zeros((4500, 9000), np.bool_)).shape == (9000, 9000)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "i2", "f4"])
def test_the_byte_order_does_not_matter(order: str, kind: str) -> None:
    image = (np.arange(16).reshape(4, 4) * 200).astype(f"{order}{kind}")
    np.testing.assert_array_equal(
        ScaleByRange(0, 3000)(image), ScaleByRange(0, 3000)(image.astype(np.int32))
    )


def test_bicubic_is_pillows() -> None:
    image = Image.fromarray(numbered(9, 7))
    expected = np.asarray(image.resize((5, 6), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(Resize((6, 5))(numbered(9, 7)), expected)
    np.testing.assert_array_equal(np.asarray(Resize((6, 5))(image)), expected)


@given(st.integers(0, 65535), st.sampled_from([np.uint16, np.float32, np.int16]))
def test_resizing_keeps_a_plain_picture_and_its_depth(value: int, dtype: type[np.generic]) -> None:
    plain = np.full((6, 9), min(value, 32767), dtype)
    resized = Resize(4)(plain)
    assert resized.dtype == dtype
    assert (resized == plain[0, 0]).all()


def test_nearest_invents_no_value() -> None:
    mask = np.array([[0, 7], [200, 3]], np.uint8)
    np.testing.assert_array_equal(
        Resize(4, "nearest")(mask), np.repeat(np.repeat(mask, 2, 0), 2, 1)
    )
    assert Resize(2, "nearest")(np.eye(4, dtype=bool)).dtype == np.bool_
    with pytest.raises(InputError, match="nearest"):
        Resize(2)(np.eye(4, dtype=bool))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_nearest_is_pillows(height: int, width: int, new_height: int, new_width: int) -> None:
    mask = numbered(height, width)
    expected = Image.fromarray(mask).resize((new_width, new_height), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(
        Resize((new_height, new_width), "nearest")(mask), np.asarray(expected)
    )


def test_grey_is_luma() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], np.uint8)
    np.testing.assert_array_equal(Grey()(colours), [[76, 150, 29, 9]])
    np.testing.assert_array_equal(Grey()(np.array([[True, False]])), [[255, 0]])
    np.testing.assert_array_equal(RGB()(np.array([[3]], np.uint8)), [[[3, 3, 3]]])


def test_alpha_over_a_named_background() -> None:
    pixels = np.array([[[200, 255], [200, 0], [200, 51]]], np.uint8)
    np.testing.assert_array_equal(DropAlpha("black")(pixels), [[200, 0, 40]])
    np.testing.assert_array_equal(DropAlpha("white")(pixels), [[200, 255, 244]])
    deep = np.array([[[60000, 100, 0, 65535], [1, 2, 3, 0]]], np.uint16)
    np.testing.assert_array_equal(DropAlpha("black")(deep), [[[60000, 100, 0], [0, 0, 0]]])


def test_palettes_become_the_colours_they_show() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    np.testing.assert_array_equal(
        np.asarray(ExpandPalette()(image)), [[[40, 50, 60], [10, 20, 30]]]
    )
    image.info["transparency"] = 0
    recipe = Recipe([ExpandPalette(), DropAlpha("white")])
    np.testing.assert_array_equal(recipe(image), [[[40, 50, 60], [255, 255, 255]]])
    with pytest.raises(InputError, match="ExpandPalette"):
        Grey()(image)


def test_a_colour_declared_transparent_counts_as_alpha() -> None:
    image = Image.fromarray(np.array([[5, 9]], np.uint8))
    image.info["transparency"] = 9
    np.testing.assert_array_equal(
        standard(2, 1, "crop", over="white").steps[2](np.asarray(image)), [[5, 9]]
    )
    np.testing.assert_array_equal(Recipe([DropAlpha("white")])(image), [[5, 255]])
    bits = Image.fromarray(np.array([[False, True]]))
    bits.info["transparency"] = 0
    np.testing.assert_array_equal(Recipe([DropAlpha("grey")])(bits), [[128, 255]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_followed(orientation: int) -> None:
    shown = Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = (
        shown.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else shown.copy()
    )
    stored.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(np.asarray(Upright()(stored)), np.asarray(shown))


@given(
    st.integers(8, 16).flatmap(
        lambda bits: st.tuples(st.just(bits), st.integers(0, (1 << bits) - 1))
    )
)
def test_bits_to_eight(case: tuple[int, int]) -> None:
    bits, value = case
    scaled = ScaleByBits(bits)(np.array([[value]], np.uint16))
    assert scaled.dtype == np.uint8
    assert abs(int(scaled[0, 0]) - 255 * value / ((1 << bits) - 1)) <= 0.5


def test_scalings_by_name() -> None:
    deep = np.array([[0, 1000, 4095]], np.uint16)
    np.testing.assert_array_equal(ScaleByBits(12)(deep), [[0, 62, 255]])
    np.testing.assert_array_equal(ScaleByRange()(deep + np.uint16(7)), [[0, 62, 255]])
    np.testing.assert_array_equal(
        ScaleByRange(0.0, 2.0)(np.array([[-1.0, 1.0, 3.0]])), [[0, 128, 255]]
    )
    spread = np.concatenate([np.arange(100), [60000]])[None].astype(np.uint16)
    scaled = ScaleByPercentile(1, 99)(spread)
    assert scaled[0, 0] == 0
    assert (scaled[0, -2:] == 255).all()
    assert 120 < scaled[0, 50] < 135
    np.testing.assert_array_equal(ScaleByRange()(np.full((2, 2), 77, np.uint16)), np.zeros((2, 2)))
    np.testing.assert_array_equal(ScaleByBits(16)(np.array([[200]], np.uint8)), [[200]])


def test_a_window_on_hounsfield_units() -> None:
    units = np.array([[-1000, -160, 40, 240, 3000]], np.int16)
    np.testing.assert_array_equal(Window(40, 400)(units), [[0, 0, 128, 255, 255]])
    volume = np.broadcast_to(units, (2, 3, 5))
    np.testing.assert_array_equal(window(volume, 40, 400)[1, 2], [0, 0, 128, 255, 255])


def test_slices_across_three_axes() -> None:
    volume = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    for axis in (0, 1, 2):
        np.testing.assert_array_equal(
            centred_slices(volume, axis)[0], volume.take(volume.shape[axis] // 2, axis)
        )
    np.testing.assert_array_equal(
        centred_slices(volume, 1, count=3, step=2), volume.take([0, 2, 4], 1).swapaxes(0, 1)
    )
    mask = np.zeros(volume.shape)
    mask[1:3, 4, 0] = 1
    np.testing.assert_array_equal(centred_slices(volume, 0, around=mask)[0], volume[2])
    np.testing.assert_array_equal(centred_slices(volume, 1, around=(1, 3, 5))[0], volume[:, 3])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda v: centred_slices(v[0], 0), "three non-empty axes"),
        (lambda v: centred_slices(v, 3), "axis=3"),
        (lambda v: centred_slices(v, 0, count=9), "fewer or closer"),
        (lambda v: centred_slices(v, 0, count=0), "no slices"),
        (lambda v: centred_slices(v, 0, around=v[:1]), "mask of the volume's shape"),
        (lambda v: centred_slices(v, 0, around=np.zeros(v.shape)), "no voxel"),
        (lambda v: centred_slices(v, 0, around=(1, 2, 99)), "outside a volume"),
        (lambda v: window(v * np.nan, 1, 2), "NaN"),
        (lambda v: window(v, 1, 0), "no window"),
    ],
)
def test_volumes_that_cannot_be_cut(call: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        call(np.ones((4, 5, 6)))


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_standard_takes_what_people_have(mode: str, channels: int, fit: Any) -> None:
    image = Image.new("RGB", (30, 20), (50, 50, 50)).convert(mode)
    made = standard(12, channels, fit)(image)
    assert made.shape == ((12, 12) if channels == 1 else (12, 12, 3))
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    if mode not in ("1", "P", "YCbCr"):
        assert abs(int(made[6, 6].min()) - 50) <= 1


def test_standard_is_steps_in_order_and_says_so() -> None:
    recipe = standard(224, 3, "pad", depth=Window(40, 400))
    assert eval(repr(recipe), vars(preprocess)) == recipe
    assert (
        recipe.describe()
        == "upright, palette to colours, alpha over white, window level 40 width 400, RGB, zero pad"
        " to square, bicubic to 224 x 224"
    )


def test_depth_is_never_guessed() -> None:
    deep = Image.fromarray(np.full((4, 4), 40000, np.uint16))
    with pytest.raises(InputError, match=r"more than 8 bits; put ScaleByBits"):
        standard(4)(deep)
    np.testing.assert_array_equal(standard(4, depth=ScaleByBits(16))(deep), np.full((4, 4), 156))
    with pytest.raises(InputError, match="12 bits hold"):
        standard(4, depth=ScaleByBits(12))(deep)
    with pytest.raises(InputError, match="more than 8 bits"):
        standard(4)(np.ones((4, 4)))


@pytest.mark.parametrize("name", list(DEEP))
def test_bits_that_loading_would_lose_are_refused(name: str) -> None:
    for takes in (standard(8, 3, depth=ScaleByBits(12)), RGB(), DropAlpha()):
        with (
            Image.open(io.BytesIO(DEEP[name])) as image,
            pytest.raises(InputError, match="more than 8 bits per channel"),
        ):
            takes(image)


def test_a_mask_goes_the_same_way() -> None:
    recipe = standard(4, 3, "crop")
    mask = np.zeros((8, 10), np.uint8)
    mask[:, 5:] = 2
    np.testing.assert_array_equal(recipe.for_masks()(mask), np.repeat([[0, 0, 2, 2]], 4, axis=0))


@pytest.mark.parametrize(
    ("steps", "match"),
    [
        ([Resize(4), CentreCropSquare()], "CentreCropSquare.. must come before"),
        ([Grey(), DropAlpha()], "DropAlpha.* must come before"),
        ([Grey(), Window(1, 2)], "Window.* must come before"),
        ([PadSquare(), CentreCropSquare()], "same part"),
        ([DropAlpha(), Upright()], "Upright.* must come before"),
        (["grey"], "no step"),
    ],
)
def test_orders_that_make_no_sense(steps: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Recipe(steps)


def test_colour_may_stand_behind_size() -> None:
    assert Recipe([CentreCropSquare(), Resize(4), Grey(), RGB()])(
        np.zeros((5, 6, 3), np.uint8)
    ).shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.zeros((3, 4, 5), np.uint8), "channels last"),
        (np.zeros((0, 4), np.uint8), "no pixels"),
        (np.zeros((4, 4), complex), "dtype complex"),
        (np.array([["a"]]), "dtype"),
        (None, "a NoneType is no image"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((4, 4, 4), np.uint8), "alpha"),
    ],
)
def test_what_is_no_picture(image: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Grey()(image)


@pytest.mark.parametrize(
    "make",
    [
        *(
            lambda: Resize(0),
            lambda: Resize((1, 2, 3)),
            lambda: Resize(True),
            lambda: Resize(4, "cubic"),
        ),
        *(
            lambda: DropAlpha("green"),
            lambda: ScaleByBits(17),
            lambda: ScaleByRange(1),
            lambda: ScaleByRange(2, 1),
        ),
        *(lambda: ScaleByPercentile(99, 1), lambda: Window(0, -1), lambda: Window(float("nan"), 1)),
        *(lambda: standard(channels=2), lambda: standard(fit="squash")),
    ],
)
def test_options_that_are_none(make: Any) -> None:
    with pytest.raises(InputError):
        make()

"""The orders of axes that images.hdf5 may have. A further layout is one more `Layout`."""

from __future__ import annotations

from typing import Any, Literal, get_args

from numpy.typing import NDArray

Layout = Literal["NHW", "NHWC", "N1HW", "NCHW"]
# The first that fits is used. An RGB image of 3 x 3 pixels fits two: channels last comes first,
# because the published writer writes that.
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def layout_of(shape: tuple[int, ...], input_size: tuple[int, int, int]) -> Layout | None:
    """Return which axis is which, or None where the shape fits no layout."""
    for layout, image_shape in image_shapes(input_size).items():
        if shape[1:] == image_shape:
            return layout
    return None


def image_shapes(input_size: tuple[int, int, int]) -> dict[Layout, tuple[int, ...]]:
    """Return the shape of one image in each layout that can hold it."""
    channels, height, width = input_size
    sizes = {"C": channels, "H": height, "W": width, "1": 1}
    return {
        layout: tuple(sizes[axis] for axis in layout[1:])
        for layout in LAYOUTS
        if channels == 1 or "C" in layout
    }


def channels_last(images: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return a view of stored images as (n, H, W), or (n, H, W, C) where there are several."""
    view = images.transpose([layout.index(axis) for axis in "NHWC1" if axis in layout])
    return view[..., 0] if view.ndim == 4 and view.shape[3] == 1 else view

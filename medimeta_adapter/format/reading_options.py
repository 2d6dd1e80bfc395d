"""The options of reading, which every function that makes a source takes."""

from __future__ import annotations

from typing import Literal, TypedDict

from torchcross._kit.suggestions import suggest

Channels = Literal[1, 3]
PixelType = Literal["uint8", "float"]


class ReadingOptions(TypedDict, total=False):
    """Keyword arguments such as `channels=3`; an option you leave out keeps its default.

    `original_splits` reads original_splits/ in the place of splits/. `groups="auto"` (the default)
    takes the column patient_id of annotations.csv as subjects where there is one; the name of a
    column insists on it, and None reads no subjects. `channels=3` repeats grey, `channels=1` is
    luma, None (the default) is as stored. `pixels` is "uint8" (the default) or "float", from -1 to
    1.
    """

    original_splits: bool
    groups: str | None
    channels: Channels | None
    pixels: PixelType


_DEFAULTS: ReadingOptions = {
    "original_splits": False,
    "groups": "auto",
    "channels": None,
    "pixels": "uint8",
}


def with_defaults(options: ReadingOptions) -> ReadingOptions:
    """Return all options; refuse a name that is none, as Python refuses a keyword argument."""
    for name in options:
        if name not in _DEFAULTS:
            raise TypeError(f"no option of reading is called {name!r}; {suggest(name, _DEFAULTS)}")
    return {**_DEFAULTS, **options}

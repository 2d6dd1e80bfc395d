"""The options of reading, which every function that makes a source takes."""

from __future__ import annotations

from typing import Literal, TypedDict

from torchcross._kit.suggestions import suggest

Channels = Literal[1, 3]
PixelType = Literal["uint8", "float"]


class ReadingOptions(TypedDict, total=False):
    """The keyword arguments of what makes a source; an option you leave out keeps its default.

    original_splits  True: the splits are those of original_splits/; the default is splits/
    groups           "auto" (the default): the column patient_id of annotations.csv has the
                     subjects, where it exists. Another name: that column, which must exist. None:
                     no subjects
    channels         3 repeats grey, 1 is luma, None (the default) is as stored
    pixels           "uint8" (the default), or "float": from -1 to 1

    >>> from medimeta_adapter import MedIMeta, ReadingOptions
    >>> from medimeta_adapter.synthetic import generate
    >>> reading = ReadingOptions(channels=3, pixels="float")
    >>> meta = MedIMeta(generate("data", only=["oct"], size=16))
    >>> meta.source("oct", split="train", **reading).read([0, 1]).shape
    torch.Size([2, 3, 16, 16])
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

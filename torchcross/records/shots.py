"""The number of shots of a record: support images per class, 0 for none, or all labels of a target.

"All" is for what learned from a whole train split, where no support set was drawn. It is no number
of images, but it stands in a column of them: as `ALL_SHOTS`, which is above every number. CSV files
of records write the word.
"""

from __future__ import annotations

from typing import Final

from torchcross._kit.counts import count_text

ALL: Final = "all"
"""How files, settings and callers write it."""

ALL_SHOTS: Final = 2**63 - 1
"""How columns of int64 hold it: the largest number, so that it sorts behind all others."""


def shots_number(shots: object) -> object:
    """`ALL_SHOTS` for "all"; whatever else is given stays as it is."""
    return ALL_SHOTS if isinstance(shots, str) and shots == ALL else shots


def shots_text(shots: int) -> str:
    """As in "5 shots"."""
    return "all labels" if shots == ALL_SHOTS else count_text(shots, "shots")


def shots_word(shots: int) -> int | str:
    """As a file of texts has it: a number, or "all"."""
    return ALL if shots == ALL_SHOTS else shots


def shots_prefix(shots: int) -> str:
    """As in "5-shot"."""
    return "all labels" if shots == ALL_SHOTS else f"{shots}-shot"

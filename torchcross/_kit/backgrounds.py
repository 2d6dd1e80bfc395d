"""What stands behind transparent parts of an image: one default wherever alpha is dropped."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Background: TypeAlias = Literal["white", "grey", "black"]

DEFAULT_BACKGROUND: Background = "white"
BACKGROUNDS: tuple[Background, ...] = get_args(Background)
_SHARES_OF_WHITE = {"white": 2, "grey": 1, "black": 0}


def background_value(background: Background, white: int = 255) -> int:
    """The value of each colour, where `white` is that of white: 255, 128 or 0 of 8 bits."""
    return (_SHARES_OF_WHITE[background] * white + 1) // 2

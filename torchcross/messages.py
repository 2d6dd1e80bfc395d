"""Text from elsewhere that is to be shown: without control characters, and no longer than needed.

Names and values come from files. A terminal obeys control characters in them, so what is shown has
escapes in their place; what is stored keeps them.
"""

from __future__ import annotations

import re

__all__ = ["printable", "without_middle"]

_LONGEST = 4000
_ROOM_BETWEEN = 40
# All controls but tab and line feed; marks and controls of the direction of text, which reorder
# what stands around them; line separators; halves of characters, which no encoding can write.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""The text with \x1b and the like for control characters.

    >>> from torchcross.messages import printable
    >>> printable("a name")
    'a name'
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def without_middle(text: str, longest: int = _LONGEST) -> str:
    """The text, or its start, its end and how much lies between: at most `longest` characters.

    >>> from torchcross.messages import without_middle
    >>> len(without_middle("a" * 10_000, longest=100)) <= 100
    True
    """
    if len(text) <= longest:
        return text
    end = longest // 4
    start = longest - end - _ROOM_BETWEEN
    return f"{text[:start]} ... [{len(text) - start - end:,} characters] ... {text[-end:]}"

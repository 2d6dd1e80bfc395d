"""Changes of a valid file: flipped bits, cuts, insertions, tokens, other numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

_PLACES = 1 << 20
_NUMBERS = (
    *(b"0", b"-1", b"1", b"2", b"255", b"65536", b"2147483648", b"9223372036854775808"),
    *(b"1e400", b"nan", b"-0.5", b"1e-400", b"9" * 40, b"0x10", b"1_0", b"", b"\xd9\xa3"),
)
_WORDS = (
    0,
    1,
    2,
    0x7F,
    0xFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
    1 << 40,
    (1 << 63) - 1,
    (1 << 64) - 1,
)
_TOKENS = (
    *(b"", b"\0", b"\n", b"\r", b",", b'"', b"'", b"#", b":", b"{", b"}", b"[", b"]", b"[" * 2000),
    *(
        b"null",
        b"true",
        b"~",
        b"nan",
        b"inf",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\x1b[2J",
    ),
    *(
        b"../..",
        b"/",
        b"%s",
        b"\\u0000",
        b'"\\ud800"',
        b"x" * 300,
        b"&a *a",
        b"!!python/object:os.system",
    ),
)
_DIGITS = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")

Mutation = tuple[str, int, int]
"""(kind, where: a share of the length, which of the values)"""


def _flip(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << value % 8]) + content[place + 1 :]


def _cut(content: bytes, place: int, value: int) -> bytes:
    return content[:place]


def _insert(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + value.to_bytes(4, "little")[: value % 4 + 1] + content[place:]


def _remove(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + content[place + value % 64 + 1 :]


def _repeat(content: bytes, place: int, value: int) -> bytes:
    block = content[place : place + value % 200 + 1]
    return content[:place] + block * (value % 5 + 2) + content[place + len(block) :]


def _exchange(content: bytes, place: int, value: int) -> bytes:
    """Put a block of the content in the place of another one."""
    length = value % 64 + 1
    start = value * 7919 % len(content)
    return content[:place] + content[start : start + length] + content[place + length :]


def _word(content: bytes, place: int, value: int) -> bytes:
    size, order = 1 << value % 4, "little" if value // 4 % 2 else "big"
    number = _WORDS[value // 8 % len(_WORDS)] % (1 << 8 * size)
    word = number.to_bytes(size, "little" if order == "little" else "big")
    return content[:place] + word + content[place + size :]


def _number(content: bytes, place: int, value: int) -> bytes:
    match = _DIGITS.search(content, place) or _DIGITS.search(content)
    if match is None:
        return content
    return content[: match.start()] + _NUMBERS[value % len(_NUMBERS)] + content[match.end() :]


_KINDS: dict[str, Callable[[bytes, int, int], bytes]] = {
    "flip": _flip,
    "cut": _cut,
    "insert": _insert,
    "remove": _remove,
    "repeat": _repeat,
    "exchange": _exchange,
    "word": _word,
    "number": _number,
}

mutations = st.lists(
    st.tuples(
        st.sampled_from([*_KINDS, "token"]), st.integers(0, _PLACES - 1), st.integers(0, 1 << 16)
    ),
    min_size=1,
    max_size=3,
)
"""One to three changes; a failed example shrinks to few and small ones."""


def mutated(content: bytes, changes: Sequence[Mutation], tokens: Sequence[bytes]) -> bytes:
    """The content with the changes made, one after the other."""
    for kind, share, value in changes:
        if not content:
            break
        place = share * len(content) // _PLACES
        if kind == "token":
            token = (*_TOKENS, *tokens)[value % (len(_TOKENS) + len(tokens))]
            length = value // 64 % 12
            content = content[:place] + token + content[place + length :]
        else:
            content = _KINDS[kind](content, place, value)
    return content

"""HTML and SVG as values: a string that is not `Markup` is text, and text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

# Characters that HTML and XML forbid, lone surrogates, which UTF-8 cannot write, and controls that
# reverse the direction of the text around them.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)
_VOID = {"meta", "link", "img", "br", "hr", "col", "input"}

Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def as_text(value: object) -> Markup:
    """`value` as escaped text, for an element or an attribute."""
    return Markup(escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value)), quote=True))


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """The parts as one piece of HTML. Parts that are not `Markup` are escaped."""
    return Markup(
        separator.join(part if isinstance(part, Markup) else as_text(part) for part in parts)
    )


def element(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """`element("td", "a < b", class_="best", data_value=1)`.

    Attributes that are None or False are left out.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f' {name}="{name}"'
    if isinstance(value, float):
        # Coordinates in hundredths of a pixel: more digits change no picture.
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    return f' {name}="{as_text(value)}"'

"""HTML and SVG as values: whatever is not `Markup` is text, and text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

__all__ = ["Markup", "as_text", "element", "join"]

# What no HTML or XML document may hold, lone surrogates, which UTF-8 cannot write, and controls
# that turn the text around them from right to left.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)
_VOID = {"meta", "link", "img", "br", "hr", "col", "input"}

Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def as_text(value: object) -> Markup:
    """`value` as text that means itself, in an element or in an attribute."""
    return Markup(escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value)), quote=True))


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """The parts as one piece of HTML; those that are not `Markup` are escaped."""
    return Markup(
        separator.join(part if isinstance(part, Markup) else as_text(part) for part in parts)
    )


def element(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """`element("td", "a < b", class_="best", data_value=1)`; attributes that are None or False are
    left out.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f' {name}="{name if value is True else as_text(_short(value))}"'


def _short(value: Attribute) -> str:
    """Coordinates in hundredths: a float's seventeen digits are no use to a picture."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

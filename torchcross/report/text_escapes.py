"""Names in tables of text: whatever characters they have, they stay one cell of one line."""

from __future__ import annotations

import re

_SPACES = re.compile(r"\s+")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_LATEX = {
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # No font encoding lacks these; \textquotedbl and \textasciigrave are missing in some.
    '"': "''",
    "`": r"\`{}",
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "≈": r"$\approx$",
    "\N{ASTERISK OPERATOR}": r"$\ast$",
    "°": r"$^{\circ}$",
    "∂": r"$\partial$",
    "§": r"\S{}",
    "—": "---",
    "\N{EN DASH}": "--",
    "\N{MINUS SIGN}": "$-$",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$!&])")


def one_line(text: str) -> str:
    """The text without line breaks, and without characters that a text file cannot hold."""
    signs = (sign if sign.isprintable() or sign.isspace() else _REPLACEMENT for sign in text)
    return _SPACES.sub(" ", "".join(signs))


def latex_text(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in one_line(text))


def latex_note(text: str) -> str:
    """Text that is printed under a table."""
    return f"\\par\\smallskip\\noindent{{\\footnotesize {latex_text(text)}\\par}}"


def markdown_text(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", one_line(text))

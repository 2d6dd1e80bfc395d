"""Names in tables of text: whatever they hold, they stay one cell of one line."""

from __future__ import annotations

import re

__all__ = ["latex_note", "latex_text", "markdown_text", "one_line"]

_SPACES = re.compile(r"\s+")
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
    "—": "---",
    "\N{EN DASH}": "--",
    "\N{MINUS SIGN}": "$-$",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$!&])")


def one_line(text: str) -> str:
    """No line break of a name may end a row or a comment; nor may what no text file holds."""
    return _SPACES.sub(
        " ",
        "".join(
            sign if sign.isprintable() or sign.isspace() else "\N{REPLACEMENT CHARACTER}"
            for sign in text
        ),
    )


def latex_text(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in one_line(text))


def latex_note(text: str) -> str:
    """What is printed under a table."""
    return f"\\par\\smallskip\\noindent{{\\footnotesize {latex_text(text)}\\par}}"


def markdown_text(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", one_line(text))

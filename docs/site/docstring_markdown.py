"""Docstrings of this project as Markdown.

A list of options stands in columns:

    ways    classes of an episode: a number, or a pair of bounds
            of it
    shots   support samples of a class

In Markdown it is a definition list. A line of a module's docstring such as `task = tx.Task(...)`
is code, as it looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ENTRY = re.compile(r"^(?P<term>\S(?:.*?\S)?) {2,}(?P<text>\S.*)$")
_LONG_TERM = re.compile(r"^(?P<term>\S.*[^\s.:,;)])$")
_CODE_SPAN = re.compile(r"(`+.+?`+)", re.DOTALL)
_STRESS = re.compile(r"(?<![\w.\"'*])\*\w[\w -]*\*(?![\w\"'*])")
_CODE = re.compile(r"^(?:[a-z_, ]+ *= |>>> |\.\.\. )")


def as_markdown(docstring: str) -> str:
    """Return the docstring with definition lists and blocks of code where Markdown has them."""
    paragraphs = re.split(r"\n[ \t]*\n", docstring)
    return "\n\n".join(_converted(paragraph) for paragraph in paragraphs)


def _converted(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if not lines or lines[0].startswith(" "):
        return paragraph
    if lines[0].startswith(">>> "):
        shown = ["" if line == "<BLANKLINE>" else line for line in lines]
        return "\n".join(["```pycon", *shown, "```"])
    if len(lines) > 1 and all(_CODE.match(line) for line in lines):
        return "\n".join(["```python", *lines, "```"])
    entries = list(_entries(lines))
    if not entries:
        return _with_stars(paragraph)
    return "\n\n".join(
        f"{_term(term)}\n:   " + _with_stars("\n    ".join(text)) for term, text in entries
    )


def _entries(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield (term, lines of text) where the whole paragraph is a list, and nothing otherwise."""
    if not any(_ENTRY.match(line) for line in lines):
        return
    entries: list[tuple[str, list[str]]] = []
    for line in lines:
        entry = _ENTRY.match(line)
        if line.startswith(" "):
            if not entries:
                return
            entries[-1][1].append(line.strip())
        elif entry:
            entries.append((entry["term"], [entry["text"]]))
        elif _LONG_TERM.match(line):
            entries.append((line, []))
        else:
            return
    yield from entries


def _with_stars(text: str) -> str:
    """Return the text with stars that stay stars: those outside of code that stress no word."""
    parts = _CODE_SPAN.split(text)
    parts[::2] = [_stars_kept(part) for part in parts[::2]]
    return "".join(parts)


def _stars_kept(text: str) -> str:
    kept, end = [], 0
    for stress in _STRESS.finditer(text):
        kept += [text[end : stress.start()].replace("*", r"\*"), stress[0]]
        end = stress.end()
    return "".join([*kept, text[end:].replace("*", r"\*")])


def _term(term: str) -> str:
    """Return the names of an entry as code, each for itself."""
    if "`" in term or not re.fullmatch(r'[\w\[\]=".*-]+(?:, [\w\[\]=".*-]+)*', term):
        return term
    return ", ".join(f"`{name}`" for name in term.split(", "))

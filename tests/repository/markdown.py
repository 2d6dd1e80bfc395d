"""Reads Markdown as far as our documentation needs it: fenced blocks, links and heading anchors."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

_OPENING = re.compile(r"^ *(?:[-*] +|\d+\. +)?(?P<mark>`{3,}|~{3,})\s*(?P<info>[^`]*)$")
_NOT_RUN = re.compile(r"^\s*<!--\s*not run:(?P<reason>.*)-->\s*$")
_RUN_WITH = re.compile(r"^\s*<!--\s*run with:(?P<packages>.*)-->\s*$")
_INLINE_CODE = re.compile(r"(`+).+?\1")
_HEADING = re.compile(r"^#{1,6}\s+(?P<title>.+?)\s*#*$", re.MULTILINE)
_LINKS = (
    re.compile(r"\]\(\s*<?(?P<target>[^)\s>]+)"),
    re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(?P<target>[^\s>]+)", re.MULTILINE),
    re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)=["'](?P<target>[^"']+)"""),
)


@dataclass(frozen=True)
class Fence:
    """A fenced block: its language, its text, the line of its first line of text, why it is not
    run, and the packages without which it is not run.
    """

    language: str
    text: str
    line: int
    not_run: str | None
    packages: tuple[str, ...] = ()


def fences(markdown: str) -> list[Fence]:
    """Return the fenced blocks.

    The line before one may say `<!-- not run: reason -->`, or `<!-- run with: timm, lightning -->`.
    """
    lines = markdown.splitlines()
    found = []
    for opened, closed, info in _blocks(lines):
        before = lines[opened - 1] if opened else ""
        marker, needs = _NOT_RUN.match(before), _RUN_WITH.match(before)
        found.append(
            Fence(
                language=(info.split() or [""])[0],
                text=textwrap.dedent("\n".join(lines[opened + 1 : closed])) + "\n",
                line=opened + 2,
                not_run=marker["reason"].strip() if marker else None,
                packages=tuple(re.findall(r"[\w.]+", needs["packages"])) if needs else (),
            )
        )
    return found


def broken_links(path: Path) -> list[str]:
    """Return the relative links of the file at `path` that lead nowhere."""
    prose = _INLINE_CODE.sub("code", _prose(path.read_text(encoding="utf-8")))
    targets = [found["target"] for pattern in _LINKS for found in pattern.finditer(prose)]
    return [target for target in targets if _is_relative(target) and not _resolves(path, target)]


def anchor_of(title: str) -> str:
    """Return the anchor that the usual hosts of repositories give to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _blocks(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (opening line, closing line, info string) of every fenced block."""
    number = 0
    while number < len(lines):
        opening = _OPENING.match(lines[number])
        if opening:
            opened, number = number, _closing(lines, number, opening["mark"])
            yield opened, number, opening["info"]
        number += 1


def _closing(lines: list[str], opened: int, mark: str) -> int:
    for number in range(opened + 1, len(lines)):
        text = lines[number].strip()
        if text.startswith(mark) and not text.strip(mark[0]):
            return number
    raise ValueError(f"the block opened on line {opened + 1} is never closed")


def _prose(markdown: str) -> str:
    lines = markdown.splitlines()
    inside = {
        number for opened, closed, _ in _blocks(lines) for number in range(opened, closed + 1)
    }
    return "\n".join(line for number, line in enumerate(lines) if number not in inside)


def _is_relative(target: str) -> bool:
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", target) is None


def _resolves(path: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    linked = (path.parent / unquote(name)) if name else path
    if name.startswith("/") or not linked.exists():
        return False
    return not anchor or (
        linked.suffix == ".md" and anchor in _anchors(linked.read_text(encoding="utf-8"))
    )


def _anchors(markdown: str) -> set[str]:
    """Return the anchors that the usual renderers give to headings: lower case, hyphens, counted
    repeats.
    """
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in _HEADING.finditer(_prose(markdown)):
        slug = anchor_of(heading["title"])
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors

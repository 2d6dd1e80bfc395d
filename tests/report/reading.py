"""Reads a page as a browser's parser would, and refuses what a browser would mend in silence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from torchcross.records import Means, Records
from torchcross.report import write_report

VOID = {"meta", "link", "img", "br", "hr", "col", "input"}


@dataclass
class Node:
    name: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, name: str, kind: str = "") -> list[Node]:
        """Every element below of this name, and of this class where one is given."""
        return [
            node for node in self.walk() if node.name == name and (not kind or kind in node.classes)
        ]

    def by_id(self, identifier: str) -> Node:
        return next(node for node in self.walk() if node.attributes.get("id") == identifier)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("document", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (
            f"<{tag}> has an attribute twice: {attrs}"
        )
        assert all(value is not None for _, value in attrs), (
            f"<{tag}> has an attribute without a value: {attrs}"
        )
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def closed(self) -> Node:
        self.close()
        assert self._open == [self.root], f"<{self._open[-1].name}> is never closed"
        return self.root


def read_page(text: str) -> Node:
    reader = _Reader()
    reader.feed(text)
    return reader.closed()


def page_of(folder: Path, rows: Records | Means, **more: Any) -> Node:
    """The report on these rows, or means, read back."""
    given = {"title": "A study", "protocol": {}, "provenance": {}} | more
    return read_page(
        write_report(rows, folder / "report.html", **given).read_text(encoding="utf-8")
    )


def rows_of(table: Node) -> list[Node]:
    """The rows of a table's bodies, without those that name a group."""
    return [
        row for body in table.all("tbody") for row in body.all("tr") if "group" not in row.classes
    ]


def cells_of(row: Node) -> list[Node]:
    return [child for child in row.children if isinstance(child, Node)]

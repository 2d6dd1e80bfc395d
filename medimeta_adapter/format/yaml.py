"""YAML from elsewhere: bounded size, depth and aliases, no objects, no duplicate keys.

Every value knows its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from medimeta_adapter.format.files import read_small_file
from torchcross.errors import DatasetFileError

LARGEST = 1 << 20
_DEEPEST = 24
_MOST_NODES = 50_000
_LONGEST_NUMBER = 40
# libyaml compares each directive with all before it.
_MOST_DIRECTIVES = 8
_DIRECTIVE = re.compile("(?:^|[\n\r\x85\u2028\u2029])%")
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = frozenset({"bool", "float", "int", "null", "str"})
_AS_TEXT = frozenset({"timestamp", "value"})
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = Resolver()
_CONSTRUCTOR = SafeConstructor()
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass
class Node:
    """A value, its line, and for scalars the text it was written as.

    Containers hold nodes; `size` counts the values inside.
    """

    value: Any
    line: int
    text: str | None = None
    size: int = 1
    is_open: bool = False
    keys: list[Node] = field(default_factory=list)

    def plain(self) -> Any:
        """Return the value, with the values of its nodes in their place."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return [item.plain() for item in self.value] if isinstance(self.value, list) else self.value

    def at(self, path: tuple[Any, ...]) -> Node:
        """Return the node at a field path, or the nearest above it."""
        if not path or not isinstance(self.value, dict | list):
            return self
        try:
            return self.value[path[0]].at(path[1:])  # type: ignore[no-any-return]
        except (KeyError, IndexError, TypeError):
            return self


def load(path: Path) -> Node:
    """Return the one document of a YAML file, as a tree of nodes."""
    content = read_small_file(path, LARGEST, "a YAML description")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DatasetFileError(
            f"{path}, line {line}: not UTF-8 text ({error.reason}); save the file as UTF-8"
        ) from None
    return parse(text, path)


def parse(text: str, path: Path) -> Node:
    """Return the one document of a text, as a tree of nodes; `path` is for errors."""
    directives = len(_DIRECTIVE.findall(text))
    if directives > _MOST_DIRECTIVES:
        raise DatasetFileError(
            f"{path}: {directives:,} lines are directives (they begin with %); a description needs"
            f" none, and has at most {_MOST_DIRECTIVES}"
        )
    return _Builder(path).build(text)


class _Builder:
    """Turns events into one tree; refuses as soon as a bound is passed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.anchors: dict[str, Node] = {}
        self.stack: list[Node] = []
        self.root: Node | None = None

    def build(self, text: str) -> Node:
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                self._handle(event)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = "" if mark is None else f", line {mark.line + 1}"
            reason = getattr(error, "problem", None) or getattr(error, "reason", None)
            raise DatasetFileError(
                f"{self.path}{line}: not valid YAML: {reason or 'unreadable'}"
            ) from None
        if self.root is None:
            raise DatasetFileError(
                f"{self.path}: empty; expected a mapping with id, name, domain, tasks,"
                " input_size, ..."
            )
        return self.root

    def _handle(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            self._refuse(line, "a second document starts here; the file holds one")
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._anchor_node(event.anchor or "", line), line)
        elif isinstance(event, yaml.ScalarEvent):
            self._keep_anchor(event, self._add(self._scalar(event, line), line))
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(line)

    def _open(self, event: Any, line: int) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", f"{_PREFIX}map" if is_mapping else f"{_PREFIX}seq"):
            self._refuse(
                line,
                f"the tag {event.tag!r} is not allowed; only plain mappings, lists, text and"
                " numbers are",
            )
        if len(self.stack) >= _DEEPEST:
            self._refuse(line, f"nested deeper than {_DEEPEST} levels")
        node = Node({} if is_mapping else [], line, is_open=True)
        if self.stack and isinstance(self.stack[-1].value, dict) and not self.stack[-1].keys:
            self._refuse(line, "a key is a mapping or a list; give text or a number")
        self._keep_anchor(event, node)
        self.stack.append(node)

    def _close(self, line: int) -> None:
        node = self.stack.pop()
        node.is_open = False
        self._add(node, line)

    def _add(self, node: Node, line: int) -> Node:
        if not self.stack:
            self.root = node
            return node
        parent = self.stack[-1]
        parent.size += node.size
        if parent.size > _MOST_NODES:
            self._refuse(
                line,
                f"more than {_MOST_NODES:,} values, counting aliases as often as they are used",
            )
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif parent.keys:
            parent.value[parent.keys.pop().value] = node
        else:
            self._check_key(parent, node, line)
            parent.keys.append(node)
        return node

    def _check_key(self, parent: Node, key: Node, line: int) -> None:
        if key.text is None:
            self._refuse(line, "a key is a mapping or a list; give text or a number")
        if key.value in parent.value:
            self._refuse(line, f"the key {key.text[:60]!r} is here twice; keep one of them")

    def _anchor_node(self, name: str, line: int) -> Node:
        node = self.anchors.get(name)
        if node is None:
            self._refuse(line, f"the alias *{name[:60]} has no anchor before it")
        if node.is_open:
            self._refuse(line, f"the alias *{name[:60]} is inside what it names, a cycle")
        return node

    def _keep_anchor(self, event: Any, node: Node) -> None:
        if event.anchor is not None:
            self.anchors[event.anchor] = node

    def _scalar(self, event: Any, line: int) -> Node:
        text: str = event.value
        tag = event.tag
        if tag in (None, "!"):
            tag = str(_RESOLVER.resolve(ScalarNode, text, event.implicit))  # type: ignore[no-untyped-call]
        kind = tag.removeprefix(_PREFIX)
        if kind not in _PLAIN | _AS_TEXT:
            self._refuse(
                line,
                f"the tag {tag[:80]!r} is not allowed; only plain mappings, lists, text and"
                " numbers are",
            )
        if _SURROGATES.search(text):
            self._refuse(
                line, "half a character (a lone surrogate escape); write the character itself"
            )
        if kind in _AS_TEXT or kind == "str":
            return Node(text, line, text)
        if len(text) > _LONGEST_NUMBER:
            self._refuse(line, f"{text[:20]!r}... is no {kind} of a sensible length")
        try:
            value = getattr(_CONSTRUCTOR, f"construct_yaml_{kind}")(ScalarNode(tag, text))
        except (ConstructorError, ValueError, KeyError, IndexError, OverflowError):
            self._refuse(line, f"{text[:60]!r} is no {kind}")
        return Node(value, line, text)

    def _refuse(self, line: int, problem: str) -> NoReturn:
        raise DatasetFileError(f"{self.path}, line {line}: {problem}")

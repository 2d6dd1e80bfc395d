"""Reads the doors that docs/internals.md names: a function, class or method, and its file.

A door is written `meta_loss` (`torchcross/functional/loop/meta_loss.py`); a method is written with
its class, `Episodes.__getitem__` (`torchcross/data/loading/loader.py`). A line may break between
the two, and both may stand in a table.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.repository.sources import FunctionNode, parse

DOOR = re.compile(r"`(?P<name>[A-Za-z_][\w.]*)(?:\(\))?`\s+\(`(?P<file>[\w./-]+\.py)`\)")
_FILE = re.compile(r"`(?P<file>[\w.-]+/[\w./-]+\.py)`")
_SECTION = re.compile(r"^## \S", re.MULTILINE)


def doors(page: str) -> list[tuple[str, str]]:
    """Return (name, file) of every door on the page."""
    return [(match["name"], match["file"]) for match in DOOR.finditer(page)]


def section_count(page: str) -> int:
    return len(_SECTION.findall(page))


def broken_doors(page: str, root: Path) -> list[str]:
    """Return one sentence for every file or door on the page that is not there."""
    files = dict.fromkeys(match["file"] for match in _FILE.finditer(page))
    files |= dict.fromkeys(file for _, file in doors(page))
    missing = [file for file in files if not (root / file).is_file()]
    sentences = [f"there is no file {file}" for file in missing]
    for name, file in doors(page):
        if file not in missing and name not in defined_names(root / file):
            sentences.append(f"{file} defines no function, class or method {name}")
    return sentences


def defined_names(path: Path) -> set[str]:
    """Return the functions and classes of a file, and `Class.method` for its methods."""
    return set(_defined_names(parse(path.read_text(encoding="utf-8"), str(path)), ""))


def _defined_names(owner: ast.Module | ast.ClassDef, prefix: str) -> list[str]:
    names = []
    for node in owner.body:
        if isinstance(node, FunctionNode | ast.ClassDef):
            names.append(f"{prefix}{node.name}")
        if isinstance(node, ast.ClassDef):
            names += _defined_names(node, f"{prefix}{node.name}.")
    return names

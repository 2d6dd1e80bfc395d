"""Every setting with its default and its meaning, read from the sections themselves."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from torchcross.experiment.settings.reading import as_plain
from torchcross.experiment.settings.schema import Experiment

__all__ = ["Setting", "settings"]

_ENTRY = re.compile(r"^(\w+) {2,}(\S.*)$")


@dataclass(frozen=True)
class Setting:
    """`name` as in `--set NAME=VALUE`; `default` as TOML writes it, "" where there is none."""

    name: str
    default: str
    says: str


def settings() -> tuple[Setting, ...]:
    """All of them, in the order of the sections; a preset may have another value."""
    return tuple(_settings_of(Experiment, ""))


def _settings_of(section: type[Any], place: str) -> Iterator[Setting]:
    said, hints = _said(section), get_type_hints(section)
    for one in fields(section):
        if is_dataclass(hints[one.name]):
            yield from _settings_of(hints[one.name], f"{place}{one.name}.")
        else:
            yield Setting(f"{place}{one.name}", _default(one), said.get(one.name, ""))


def _default(one: Field[Any]) -> str:
    if one.default is not MISSING:
        return json.dumps(as_plain(one.default))
    if one.default_factory is not MISSING:
        made = one.default_factory()
        return "{}" if isinstance(made, Mapping) and not made else json.dumps(as_plain(made))
    return ""


def _said(section: type[Any]) -> dict[str, str]:
    """The entries of the docstrings of a section and of what it stands on: a name, two blanks, and
    what it means.
    """
    found: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        name = ""
        for line in inspect.cleandoc(kind.__dict__.get("__doc__") or "").splitlines():
            if entry := _ENTRY.match(line):
                name = entry[1]
                found[name] = entry[2]
            elif name and line.startswith(" "):
                found[name] += f" {line.strip()}"
            else:
                name = ""
    return found

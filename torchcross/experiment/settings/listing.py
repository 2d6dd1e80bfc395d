"""Every setting with its default and its meaning, read from the sections themselves."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, is_dataclass
from typing import Any, get_type_hints

from torchcross.experiment.settings.model_settings import BackboneSettings
from torchcross.experiment.settings.plain import as_plain, setting_fields, without_none
from torchcross.experiment.settings.schema import Experiment

_ENTRY = re.compile(r"^(\w+) {2,}(\S.*)$")


@dataclass(frozen=True)
class Setting:
    """`name` as in `--set NAME=VALUE`; `default` as TOML writes it, "" where there is none."""

    name: str
    default: str
    says: str


def settings(sections: type[Any] = Experiment) -> tuple[Setting, ...]:
    """All settings, in the order of the sections; a preset may give another default."""
    return tuple(_settings_of(sections, ""))


def settings_text(listed: Iterable[Setting]) -> str:
    """Two lines for each: its name with its default, and what it means."""
    return "".join(f"{each.name} = {each.default}\n    {each.says}\n" for each in listed)


def _settings_of(section: type[Any], place: str) -> Iterator[Setting]:
    meanings, hints = _meanings(section), get_type_hints(section)
    for each in setting_fields(section):
        kind = without_none(hints[each.name])
        if isinstance(kind, type) and is_dataclass(kind) and kind is not BackboneSettings:
            yield from _settings_of(kind, f"{place}{each.name}.")
        else:
            yield Setting(f"{place}{each.name}", _default(each), meanings.get(each.name, ""))


def _default(each: Field[Any]) -> str:
    if each.default is not MISSING:
        return json.dumps(as_plain(each.default))
    if each.default_factory is not MISSING:
        default = each.default_factory()
        # Without options, a name is enough.
        return json.dumps(default.name if isinstance(default, BackboneSettings) else default)
    return ""


def _meanings(section: type[Any]) -> dict[str, str]:
    """The entries of the docstrings of a section and its bases: a name, two blanks, its meaning."""
    meanings: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        name = ""
        for line in inspect.cleandoc(kind.__dict__.get("__doc__") or "").splitlines():
            if entry := _ENTRY.match(line):
                name, meanings[entry[1]] = entry[1], entry[2]
            elif name and line.startswith(" "):
                meanings[name] += f" {line.strip()}"
            else:
                name = ""
    return meanings

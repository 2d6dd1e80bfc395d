"""The plugin files that stand in a provenance, and in words how those of now differ from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from torchcross._kit.plugin_files import PluginFile, load_plugins
from torchcross.experiment.run.json_files import read_json

PROVENANCE_FILE: Final = "provenance.json"
PLUGINS: Final = "plugins"
"""Of a provenance: the name and the SHA-256 of each plugin file."""

_SHOWN: Final = 12
"""Digits of a SHA-256 that words show."""


def recorded_plugins(provenance: Mapping[str, Any]) -> list[PluginFile]:
    """The plugin files of a provenance; earlier versions wrote {name: SHA-256}."""
    written = provenance.get(PLUGINS, [])
    if isinstance(written, dict):
        return [PluginFile(name, digest) for name, digest in written.items()]
    return [PluginFile(each["name"], each["sha256"]) for each in written]


def plugin_names(path: Path, plugins: list[str]) -> dict[str, str]:
    """SHA-256 -> file name, of the plugins that a folder records and of those that are loaded."""
    file = path / PROVENANCE_FILE
    recorded = recorded_plugins(read_json(file)) if file.is_file() else []
    return {each.sha256: each.name for each in (*load_plugins(plugins), *recorded)}


def plugins_in_words(
    before: list[str], now: list[str], names: Mapping[str, str], owner: str
) -> str:
    """Which plugin files of a folder are changed or left out; `before`, `now`: their SHA-256."""
    return "; ".join(_changes(before, now, names, owner))


def _changes(
    before: list[str], now: list[str], names: Mapping[str, str], owner: str
) -> Iterator[str]:
    others = {names.get(digest): digest for digest in now if digest not in before}
    for digest in before:
        if digest in now:
            continue
        name = names.get(digest)
        if name is not None and name in others:
            yield (
                f"{name} has another content than {owner}'s (SHA-256 {others[name][:_SHOWN]},"
                f" {owner}'s {digest[:_SHOWN]})"
            )
        else:
            file = name or "a plugin file"
            yield f"{file} (SHA-256 {digest[:_SHOWN]}) of {owner} is missing"

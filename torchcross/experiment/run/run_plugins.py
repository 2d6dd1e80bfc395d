"""The plugin files that a run or a search was made with, against those that are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchcross._kit.plugin_files import (
    PluginFile,
    changed_plugins,
    check_loaded,
    missing_plugins,
)
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.folder import PROVENANCE, RunFolder
from torchcross.experiment.run.recorded_plugins import recorded_plugins


def unknown_rows(run: RunFolder) -> list[str]:
    """The rows of a run that neither the library, nor a plugin, nor an installed package has."""
    return [name for name in run.experiment["algorithms"] if name not in METHODS]


def check_rows_known(run: RunFolder) -> None:
    """Refuse to go on without the plugin that has a row of a run; the error names its file."""
    if unknown_rows(run):
        check_loaded(recorded_plugins(run.plain(PROVENANCE)), str(run.path))


def changes_in_words(provenance: Mapping[str, Any]) -> list[str]:
    """A sentence for each plugin file that is loaded with another content than the recorded one."""
    return [
        f"The plugin {name} that is loaded has another content than the one that made the rows"
        f" (SHA-256 {digest[:12]}): what it says of its rows may be otherwise."
        for name, digest in changed_plugins(recorded_plugins(provenance))
    ]


def lacks_in_words(run: RunFolder) -> list[str]:
    """What is not known of rows whose code is not loaded, and which file has it."""
    if not (rows := unknown_rows(run)):
        return []
    recorded = recorded_plugins(run.plain(PROVENANCE))
    changed = changed_plugins(recorded)
    missing = [each for each in missing_plugins(recorded) if each not in changed]
    advice = ""
    if changed:
        advice += f"; {_files(changed)} made them, and the file of this name that is loaded lacks"
        advice += " them: give it as it was"
    if missing:
        advice += f"; the run was made with the plugin {_files(missing)}: give it, --plugin FILE"
    return [
        f"{', '.join(rows)}: the code is not loaded, so cells are expected as of a row that learns"
        f" from episodes{advice}"
    ]


def _files(plugins: Sequence[PluginFile]) -> str:
    return ", ".join(f"{each.name} (SHA-256 {each.sha256[:12]})" for each in plugins)

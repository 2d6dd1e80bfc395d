"""The tables of settings in docs/experiments.md, made from the sections and the presets.

python -m tests.experiment.settings_table --write
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torchcross.experiment import PRESETS, experiment_from_values
from torchcross.experiment.settings.listing import Setting, settings
from torchcross.experiment.settings.plain import as_plain

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"


def rendered() -> str:
    presets = {
        name: as_plain(experiment_from_values({"preset": name, "data": {"folder": "there"}}))
        for name in PRESETS
    }
    sections: dict[str, list[Setting]] = {}
    for one in settings():
        sections.setdefault(one.name.rpartition(".")[0], []).append(one)
    parts = []
    for section, members in sections.items():
        heading = f"`[{section}]`" if section else "At the top"
        lines = [f"| {heading} | default | |", "| --- | --- | --- |"]
        for one in members:
            cells = [f"`{one.name.rpartition('.')[2]}`", _defaults(one, presets), one.says]
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _defaults(one: Setting, presets: dict[str, Any]) -> str:
    """The default, and what presets have instead; presets of one value together."""
    if not one.default:
        return "must be given"
    others: dict[str, list[str]] = {}
    for name, plain in presets.items():
        value: Any = plain
        for part in one.name.split("."):
            value = value[part]
        if isinstance(value, dict) and value.keys() == {"name"}:
            value = value["name"]
        if one.name not in ("preset", "preset_version") and json.dumps(value) != one.default:
            others.setdefault(json.dumps(value), []).append(name)
    return "; ".join(
        [f"`{one.default}`", *(f"{', '.join(names)}: `{value}`" for value, names in others.items())]
    )


def page_with_tables() -> str:
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + "\n" + rendered() + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page_with_tables(), encoding="utf-8")
    else:
        sys.stdout.write(rendered())

"""The tables of settings in docs/experiments.md, made from the sections and the presets.

python -m tests.experiment.settings_table --write
"""

from __future__ import annotations

import json
from typing import Any

from tests.experiment.generated_tables import main
from torchcross.experiment import PRESETS, experiment_from_values
from torchcross.experiment.settings.listing import Setting, settings
from torchcross.experiment.settings.plain import as_plain


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
            # A section that is there only where it is given has no values of a preset.
            value = json.loads(one.default or "null") if value is None else value[part]
        if isinstance(value, dict) and value.keys() == {"name"}:
            value = value["name"]
        if one.name not in ("preset", "preset_version") and json.dumps(value) != one.default:
            others.setdefault(json.dumps(value), []).append(name)
    return "; ".join(
        [f"`{one.default}`", *(f"{', '.join(names)}: `{value}`" for value, names in others.items())]
    )


if __name__ == "__main__":
    main("settings", rendered)

"""The tables of docs/experiments.md that compare presets with what is published.

python -m tests.experiment.published_tables --write
"""

from __future__ import annotations

from tests.experiment.generated_tables import main
from torchcross.experiment import experiment_from_values
from torchcross.experiment.settings.published import (
    ComparedPoint,
    compared_with_publication,
    publication_of,
)

ROWS = ("mm-pt", "mm-maml", "supervised")
IN_FULL = ("medimeta-table4", "fully-supervised", "medimeta-fsl")
IN_PART = ("medimeta-table4-short", "disjoint", "quick")


def points_of(preset: str) -> tuple[ComparedPoint, ...]:
    """The points of a preset, as if weights were given."""
    weights = "" if preset in ("quick", "medimeta-fsl") else "there"
    values = {"preset": preset, "data": {"folder": "there"}, "model": {"weights": weights}}
    return compared_with_publication(experiment_from_values(values), ROWS)


def rendered() -> str:
    parts = []
    for preset in IN_FULL:
        experiment = experiment_from_values({"preset": preset, "data": {"folder": "there"}})
        beside = "" if experiment.model.has_weights else " (with `model.weights` given)"
        text = f"`{preset}`, with {publication_of(experiment).name}{beside}:"
        parts.append(f"{text}\n\n{_table(points_of(preset))}")
    usual = points_of("medimeta-table4")
    for preset in IN_PART:
        others = [each for each in points_of(preset) if each not in usual]
        parts.append(f"`{preset}`, where it is not as `medimeta-table4`:\n\n{_table(others)}")
    return "\n".join(parts)


def _table(points: tuple[ComparedPoint, ...] | list[ComparedPoint]) -> str:
    lines = ["| | published | here | setting as published |", "| --- | --- | --- | --- |"]
    for each in points:
        cells = (each.point, each.published, each.here, each.setting)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main("published", rendered)

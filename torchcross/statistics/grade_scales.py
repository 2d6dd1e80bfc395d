"""Metrics in the unit of the grades: values of targets with different grades have no mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

IN_GRADES: Final = frozenset({"mae"})
"""Metrics that are measured in grades. One grade is not the same on two scales."""


def scale_problem(metric: str, targets: Sequence[str], scales: Mapping[str, str]) -> str:
    """Why the values of these targets are not averaged; empty where they may be.

    `scales` has the grades of each target as a text, such as "0, 1, 2, 3, 4".
    """
    if metric not in IN_GRADES or len(targets) < 2:
        return ""
    if unknown := [target for target in targets if target not in scales]:
        return (
            f"{metric} is in grades, and the grades of {', '.join(unknown)} are not known: values"
            " of different targets are not averaged, and their differences are not tested"
        )
    by_scale: dict[str, list[str]] = {}
    for target in targets:
        by_scale.setdefault(scales[target], []).append(target)
    if len(by_scale) == 1:
        return ""
    listed = "; ".join(f"{', '.join(names)}: {scale}" for scale, names in by_scale.items())
    return (
        f"{metric} is in grades, and the targets have different ones ({listed}): values of"
        " different targets are not averaged, and their differences are not tested"
    )

"""The name of a row: its algorithm, and where there are several backbones, that of its backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BESIDE = " @ "
"""Between the two."""


def row_name(algorithm: str, label: str) -> str:
    """`label` is that of a backbone of `model.backbones`."""
    return f"{algorithm}{BESIDE}{label}"


def algorithm_of(row: str) -> str:
    return row.partition(BESIDE)[0]


def label_of(row: str) -> str:
    """The label of the row's backbone; empty where the experiment has one backbone."""
    return row.partition(BESIDE)[2]


def labels_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels of several backbones in an experiment's plain values; none where there is one."""
    model = values.get("model")
    entries = model.get("backbones", ()) if isinstance(model, Mapping) else ()
    return tuple(entry["label"] for entry in entries)

"""What tables need to know of a run: rows without training, ceilings, classes left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.folder import RunFolder


def untrained_rows(run: RunFolder) -> list[str]:
    """The rows of a run that no training seed changes: their one seed is all there is."""
    weights = run.experiment["model"]["weights"]
    return [name for name in run.experiment["algorithms"] if not METHODS[name].has_seeds(weights)]


def ceiling_rows(run: RunFolder) -> list[str]:
    """The rows that learn from all labels of a target."""
    return [name for name in run.experiment["algorithms"] if METHODS[name].supervised]


def classes_left_out(protocol: Mapping[str, Any]) -> dict[str, list[str]]:
    """Target -> its classes that have too few images for any episode, where there are such."""
    targets = protocol.get("episodes of targets", {})
    return {
        target.get("name", key): list(target["classes left out"])
        for key, target in targets.items()
        if target["classes left out"]
    }

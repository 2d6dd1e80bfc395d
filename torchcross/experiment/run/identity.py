"""What makes two experiments one run: the settings that decide its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from torchcross.errors import InputError
from torchcross.experiment.rows.device import device_type
from torchcross.experiment.settings.plain import as_plain, digest
from torchcross.experiment.settings.schema import BackboneSettings, Experiment
from torchcross.training.options import decides_numbers

__all__ = ["decisive_settings", "differences", "identity"]


def decisive_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that decide the rows of a run, as plain values: not where the data lie, nor how
    rows are shown or files kept.

    Weights are known by what is in their file, data by their own fingerprint (see
    `Collection.describe`).
    """
    plain: dict[str, Any] = _decisive_fields(experiment)
    if experiment.model.weights:
        plain["model"]["weights"] = f"sha256 {_weights_digest(Path(experiment.model.weights))}"
    plain["machine"]["device"] = device_type(experiment.machine)
    return plain


def _decisive_fields(section: Any) -> Any:
    if not is_dataclass(section) or isinstance(section, BackboneSettings):
        return as_plain(section)
    names = [each.name for each in fields(section) if decides_numbers(each)]
    return {name: _decisive_fields(getattr(section, name)) for name in names}


def identity(experiment: Experiment) -> str:
    """The same for experiments with the same rows.

    It is a digest of the settings in their first form, where the backbone's options stood in
    `model.options`: runs of that time go on.
    """
    plain = decisive_settings(experiment)
    backbone = experiment.model.backbone
    plain["model"] |= {"backbone": backbone.name, "options": as_plain(backbone.options)}
    return digest(plain)


def differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """The dotted names of what differs between two nested mappings."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted(before.keys() | now.keys()):
            inner = f"{place}.{name}" if place else name
            yield from differences(before.get(name), now.get(name), inner)
    elif before != now:
        yield place


def _weights_digest(weights: Path) -> str:
    """Of the file; a model.json of TF.js has its values in the shards beside it."""
    shards = sorted(weights.parent.glob("*.bin")) if weights.suffix.lower() == ".json" else []
    total = hashlib.sha256()
    try:
        for path in (weights, *shards):
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise InputError(
            f"model.weights={str(weights)!r} cannot be read: {error.strerror}; give a file"
        ) from error
    return total.hexdigest()

"""An experiment as plain values: what JSON and TOML know."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torchcross.experiment.settings.schema import BackboneSettings


def as_plain(value: Any) -> Any:
    """An experiment, or a part of it, as values that JSON and TOML know."""
    if isinstance(value, BackboneSettings):
        return as_plain(value.as_table())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value)]
        return {name: as_plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(item) for item in value]
    return value


def digest(value: Any) -> str:
    """The same for the same values, on every machine."""
    text = json.dumps(as_plain(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def with_backbone_table(values: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's plain values with the backbone as one table: its name, its options.

    Two other forms are read: a name alone, and the form of earlier versions with `model.options`.
    """
    model = values.get("model")
    if not isinstance(model, Mapping):
        return dict(values)
    model = dict(model)
    backbone, options = model.get("backbone", {}), model.get("options", {})
    if isinstance(backbone, str):
        backbone = {"name": backbone}
    if isinstance(backbone, Mapping) and isinstance(options, Mapping):
        model.pop("options", None)
        model["backbone"] = {**backbone, **options}
    return {**values, "model": model}

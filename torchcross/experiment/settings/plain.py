"""An experiment as plain values: what JSON and TOML know."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from torchcross.experiment.settings.model_settings import BackboneEntry, BackboneSettings
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.shots import with_shots_as_now
from torchcross.training.options import NOT_LATER, earlier_value


def setting_fields(section: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a section, or of its class, that are settings."""
    return [each for each in dataclasses.fields(section) if each.init]


def without_none(kind: Any) -> Any:
    """The section of `Section | None`, a section that is there only where it is given."""
    if get_origin(kind) is not UnionType:
        return kind
    (section,) = (each for each in get_args(kind) if each is not NoneType)
    return section


def as_plain(value: Any) -> Any:
    """An experiment, or a part of it, as values that JSON and TOML know."""
    if isinstance(value, BackboneSettings | BackboneEntry):
        return as_plain(value.as_table())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_plain(getattr(value, each.name)) for each in setting_fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(item) for item in value]
    return value


def digest(value: Any) -> str:
    """The same for the same values, on every machine."""
    text = json.dumps(as_plain(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def with_earlier_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a run, with those by which it went before there were settings for them.

    The backbone is one table.
    """
    return _with_earlier_values(with_shots_as_now(with_backbone_table(values)), Experiment)


def _with_earlier_values(values: Mapping[str, Any], section: Any) -> dict[str, Any]:
    filled, hints = dict(values), get_type_hints(section)
    for each in setting_fields(section):
        kind: Any = hints[each.name]
        value = filled.get(each.name)
        if isinstance(value, Mapping) and dataclasses.is_dataclass(kind):
            if kind is not BackboneSettings:
                filled[each.name] = _with_earlier_values(value, kind)
        elif each.name not in filled and earlier_value(each) is not NOT_LATER:
            filled[each.name] = as_plain(earlier_value(each))
    return filled


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

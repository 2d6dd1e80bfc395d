"""From a TOML file, or plain values, to an `Experiment`: typed and checked."""

from __future__ import annotations

import dataclasses
import math
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torchcross._kit.suggestions import unknown_name
from torchcross._kit.user_files import read_user_file
from torchcross.errors import InputError
from torchcross.experiment.settings.plain import with_backbone_table
from torchcross.experiment.settings.presets import PRESETS
from torchcross.experiment.settings.schema import (
    BackboneSettings,
    EvaluationSettings,
    Experiment,
)
from torchcross.training.options import may_be_zero


def read_experiment(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment of a TOML file; `overrides` by dotted name ("data.targets") win over the file.

    A relative data folder or weights file is looked for beside the TOML file.
    """
    path = Path(path)
    try:
        values = tomllib.loads(read_user_file(path).decode())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; give a TOML file") from error
    except (ValueError, RecursionError) as error:
        # Not only TOML's and Unicode's errors: Python refuses numbers of thousands of digits.
        raise InputError(f"{path} is not TOML: {error}") from error
    for section, name in (("data", "folder"), ("model", "weights")):
        part = values.get(section)
        if isinstance(part, dict) and isinstance(part.get(name), str) and part[name]:
            part[name] = str(path.parent / part[name])
    try:
        return experiment_from_values(values, overrides)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def experiment_from_values(
    values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Experiment:
    """The experiment of nested plain values.

    The preset's values come first, then `values`, then `overrides` by dotted name.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"an experiment is {values!r}; give a section of names and values")
    experiment: Experiment = _section(Experiment, _merge_layers(values, overrides or {}), "")
    return experiment


# -- layers of values ------------------------------------------------------------------------------


def _merge_layers(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    own = _layer({"preset": Experiment.preset, **values})
    flags = _layer(_sections_of(overrides))
    changed = _merge(own, flags)
    preset = changed["preset"]
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError(unknown_name("preset", str(preset), PRESETS))
    base = _layer(PRESETS[preset])
    merged = _merge(base, changed)
    if isinstance(merged.get("model"), dict) and "backbone" in merged["model"]:
        name = _backbone_name(merged)
        # A file's options are for the backbone of the file, or of the preset that the file names.
        own_name = _backbone_name(own, _backbone_name(PRESETS.get(str(own["preset"]), {})))
        layers = ((base, _backbone_name(base)), (own, own_name), (flags, name))
        merged["model"]["backbone"] = _backbone_table(name, layers)
    # A preset's BatchNorm policy is for the preset's way of adapting.
    evaluation, is_given = merged.get("evaluation"), "norm" in _part(changed, "evaluation")
    if isinstance(evaluation, dict) and not is_given and _adaptation(merged) != _adaptation(base):
        evaluation.pop("norm", None)
    return merged


def _layer(values: Mapping[str, Any]) -> dict[str, Any]:
    """One layer, with the backbone as a table."""
    model = values.get("model")
    if isinstance(model, Mapping) and "options" in model:
        warnings.warn(
            "model.options is deprecated: write the backbone's options into its own table,"
            " [model.backbone], beside its name; or --set model.backbone.OPTION=VALUE",
            FutureWarning,
            stacklevel=2,
        )
    return with_backbone_table(values)


def _backbone_table(
    name: str, layers: tuple[tuple[dict[str, Any], str], ...]
) -> dict[str, Any] | Any:
    """The backbone's options from every layer that is about this backbone."""
    table: dict[str, Any] = {}
    for layer, of_backbone in layers:
        part = _part(layer, "model").get("backbone", {})
        if not isinstance(part, Mapping):
            return part
        if of_backbone == name:
            table |= part
    return {**table, "name": name}


def _backbone_name(layer: Mapping[str, Any], default: str = BackboneSettings.name) -> str:
    table = _part(layer, "model").get("backbone", {})
    name: str = table.get("name", default) if isinstance(table, Mapping) else default
    return name


def _adaptation(layer: Mapping[str, Any]) -> Any:
    return _part(layer, "evaluation").get("adaptation", EvaluationSettings.adaptation)


def _part(layer: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    part = layer.get(section)
    return part if isinstance(part, Mapping) else {}


def _sections_of(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted name as nested sections."""
    nested: dict[str, Any] = {}
    for name, value in overrides.items():
        if name == "model.backbone" and isinstance(value, str):
            name += ".name"
        for section in reversed(name.split(".")):
            value = {section: value}
        nested = _merge(nested, value)
    return nested


def _merge(base: Mapping[str, Any], more: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """A new mapping: the values of `more` over those of `base`, section by section."""
    merged = dict(base)
    for name, value in more.items():
        before = merged.get(name)
        if isinstance(value, Mapping):
            if before is not None and not isinstance(before, Mapping):
                raise InputError(
                    f"no setting is called '{place}{name}.{next(iter(value), '')}':"
                    f" '{place}{name}' is a value and has no parts"
                )
            value = _merge(before or {}, value, f"{place}{name}.")
        merged[name] = value
    return merged


# -- values as their sections want them ------------------------------------------------------------


def _section(kind: type[Any], values: Any, place: str) -> Any:
    if not isinstance(values, Mapping):
        raise InputError(
            f"{place.rstrip('.') or 'an experiment'} is {values!r}; give a section of names and"
            " values"
        )
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            known = [f"{place}{field}" for field in fields]
            raise InputError(unknown_name("setting", f"{place}{name}", known))
    missing = dataclasses.MISSING
    for name, field in fields.items():
        if name not in values and field.default is missing and field.default_factory is missing:
            raise InputError(f"{place}{name} is missing; give it")
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _value(hints[name], value, f"{place}{name}", may_be_zero(fields[name]))
            for name, value in values.items()
        }
    )


def _value(kind: Any, value: Any, place: str, zero: bool) -> Any:
    """`value` as the annotation asks for it; only a list becomes a tuple, a whole number a float.

    `zero`: it may be 0.
    """
    if kind is BackboneSettings:
        return _backbone(value, place)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _section(kind, value, f"{place}.")
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _choice(arguments, value, place)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{place} is {value!r}; give a list")
        items = enumerate(value)
        return tuple(_value(arguments[0], item, f"{place}[{at}]", zero) for at, item in items)
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < _TOO_LARGE else math.inf
    is_flag = isinstance(value, bool) and kind is not bool
    if is_flag or not isinstance(value, kind):
        raise InputError(f"{place} is {value!r}; give {_WANTED[kind]}")
    if kind in (int, float) and not (0 < value < math.inf or (zero and value == 0)):
        least = "from 0" if zero else "above 0"
        raise InputError(f"{place} is {value!r}; give a number {least}")
    return value


_TOO_LARGE = 2**1000
_WANTED = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _choice(choices: tuple[Any, ...], value: Any, place: str) -> Any:
    # A precision of 32 bits may be written as a number.
    if type(value) is int and str(value) in choices:
        value = str(value)
    if value not in choices or type(value) not in map(type, choices):
        raise InputError(f"{place} is {value!r}; give one of {', '.join(map(repr, choices))}")
    return value


def _backbone(value: Any, place: str) -> BackboneSettings:
    if not isinstance(value, Mapping):
        raise InputError(f"{place} is {value!r}; give a name, or a table of a name and options")
    options = dict(value)
    name = options.pop("name", BackboneSettings.name)
    if not isinstance(name, str):
        raise InputError(f"{place}.name is {name!r}; give a text")
    return BackboneSettings(name, options)

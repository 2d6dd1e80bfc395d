"""Plain values as their sections want them: typed, checked, nothing unknown passed over."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.experiment.settings.model_settings import BackboneEntry, BackboneSettings
from torchcross.experiment.settings.plain import setting_fields, without_none
from torchcross.experiment.settings.shots import ShotsSetting
from torchcross.records.shots import ALL
from torchcross.training.options import may_be_zero


def section_of_values(kind: type[Any], values: Any, place: str) -> Any:
    """A section of settings; `place` is its dotted name with a dot at the end, or empty."""
    if not isinstance(values, Mapping):
        raise InputError(
            f"{place.rstrip('.') or 'an experiment'} is {values!r}; give a section of names and"
            " values"
        )
    fields = {field.name: field for field in setting_fields(kind)}
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
            name: _value_of(fields[name], hints[name], value, f"{place}{name}")
            for name, value in values.items()
        }
    )


def _value_of(each: dataclasses.Field[Any], kind: Any, value: Any, place: str) -> Any:
    section = without_none(kind)
    if section is not kind and value is None:
        return None
    return typed_value(section, value, place, may_be_zero(each))


def typed_value(kind: Any, value: Any, place: str, zero: bool) -> Any:
    """`value` as the annotation asks for it; only a list becomes a tuple, a whole number a float.

    `zero`: it may be 0.
    """
    if kind in _BACKBONES:
        return _BACKBONES[kind](value, place)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return section_of_values(kind, value, f"{place}.")
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _choice(arguments, value, place)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise InputError(f"{place} is {value!r}; give a table of names and values")
        return dict(value)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{place} is {value!r}; give a list")
        typed = _shots if arguments[0] == ShotsSetting else typed_value
        items = enumerate(value)
        return tuple(typed(arguments[0], item, f"{place}[{at}]", zero) for at, item in items)
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


def _shots(kind: Any, value: Any, place: str, zero: bool) -> Any:
    if isinstance(value, str) and value != ALL:
        raise InputError(f'{place} is {value!r}; give a whole number, or "{ALL}"')
    return value if value == ALL else typed_value(int, value, place, zero)


def _backbone_entry(value: Any, place: str) -> BackboneEntry:
    value = {"name": value} if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        raise InputError(f"{place} is {value!r}; give a name, or a table of a name and options")
    return BackboneEntry.of_table(value, place)


def _backbone(value: Any, place: str) -> BackboneSettings:
    if not isinstance(value, Mapping):
        raise InputError(f"{place} is {value!r}; give a name, or a table of a name and options")
    options = dict(value)
    name = options.pop("name", BackboneSettings.name)
    if not isinstance(name, str):
        raise InputError(f"{place}.name is {name!r}; give a text")
    return BackboneSettings(name, options)


_BACKBONES = {BackboneSettings: _backbone, BackboneEntry: _backbone_entry}

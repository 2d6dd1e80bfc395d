"""Plain values as their sections want them: typed, checked, nothing unknown passed over."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torchcross.errors import InputError
from torchcross.experiment.settings.misplaced import unknown_setting
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
    if not place:
        _check_names(kind, kind, values, "")
    fields = {field.name: field for field in setting_fields(kind)}
    missing = dataclasses.MISSING
    for name, field in fields.items():
        if name not in values and field.default is missing and field.default_factory is missing:
            raise InputError(_missing_text(place, name))
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _value_of(fields[name], hints[name], value, f"{place}{name}")
            for name, value in values.items()
        }
    )


def _missing_text(place: str, name: str) -> str:
    """Where a setting without a default can be given; of the data it is their folder."""
    if f"{place}{name}" == "data":
        place, name = "data.", "folder"
    section = f"{name} = ... in [{place[:-1]}]" if place else f"{name} = ..."
    flags = f"--set {place}{name}=..."
    if f"{place}{name}" == _FOLDER:
        flags = f"--data FOLDER, or {flags}"
    return f"{place}{name} is missing; give it: {section} of the experiment's file, or {flags}"


def _check_names(whole: type[Any], kind: type[Any], values: Mapping[Any, Any], place: str) -> None:
    """Refuse a name that a section has not; what is meant may stand in another one of the whole."""
    own, hints = [each.name for each in setting_fields(kind)], get_type_hints(kind)
    for name, value in values.items():
        if name not in own:
            every = list(_dotted_names(whole, ""))
            in_section = [f"{place}{each}" for each in own]
            raise InputError(unknown_setting(str(name), place, in_section, every))
        section = _section_of(hints[name])
        if section is not None and isinstance(value, Mapping):
            _check_names(whole, section, value, f"{place}{name}.")


def _section_of(hint: Any) -> type[Any] | None:
    """The section that a setting is; None where it is a value."""
    section = without_none(hint)
    if section in _BACKBONES or not isinstance(section, type):
        return None
    return section if dataclasses.is_dataclass(section) else None


def _dotted_names(kind: type[Any], place: str) -> Iterator[str]:
    """The settings of a section and of the sections in it."""
    hints = get_type_hints(kind)
    for each in setting_fields(kind):
        yield f"{place}{each.name}"
        section = without_none(hints[each.name])
        if dataclasses.is_dataclass(section) and isinstance(section, type):
            yield from _dotted_names(section, f"{place}{each.name}.")


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


_FOLDER = "data.folder"
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
    if type(value) is int and value < 0:
        raise InputError(
            f'{place} is {value}; give 1 or more, "{ALL}" for the row supervised, or 0 for rows'
            " that need no support set"
        )
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

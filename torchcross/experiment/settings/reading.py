"""From a TOML file, or plain values, to an `Experiment`: typed, validated, nothing unknown passed
over.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.experiment.rows.device import device_type
from torchcross.experiment.settings.presets import PRESETS
from torchcross.experiment.settings.schema import Evaluation, Experiment, Model

__all__ = ["as_plain", "decisive", "digest", "experiment", "identity", "read_experiment"]


def read_experiment(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment of a TOML file; `overrides` by dotted name ("data.targets") win over it.

    A relative data folder or weights file is looked for beside the TOML file.
    """
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    for section, name in (("data", "folder"), ("model", "weights")):
        part = given.get(section)
        if isinstance(part, dict) and isinstance(part.get(name), str) and part[name]:
            part[name] = str(path.parent / part[name])
    try:
        return experiment(given, overrides)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def experiment(given: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Experiment:
    """From nested plain values. The preset's values come first, then `given`, then `overrides`."""
    if not isinstance(given, Mapping):
        raise InputError(f"an experiment is {given!r}; give a section of names and values")
    chosen = (overrides or {}).get("preset", given.get("preset", Experiment.preset))
    if not isinstance(chosen, str) or chosen not in PRESETS:
        raise InputError(unknown_name("preset", str(chosen), list(PRESETS)))
    merged = _layered(chosen, given, overrides or {})
    made: Experiment = _built(Experiment, merged, "")
    return made


def as_plain(value: Any) -> Any:
    """An experiment as values that JSON and TOML know."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    return [as_plain(item) for item in value] if isinstance(value, tuple | list) else value


def digest(value: Any) -> str:
    """The same for the same values, on every machine."""
    return hashlib.sha256(
        json.dumps(as_plain(value), sort_keys=True, default=str).encode()
    ).hexdigest()


def decisive(told: Experiment) -> dict[str, Any]:
    """What decides the rows of a run, as plain values: not where the data lie, nor how rows are
    shown or files kept.

    Weights are known by what is in their file, data by their own fingerprint (see
    `Collection.describe`).
    """
    plain: dict[str, Any] = as_plain(told)
    for place in _UNDECISIVE:
        section, name = place.split(".")
        del plain[section][name]
    if told.model.weights:
        plain["model"]["weights"] = f"sha256 {_contents(Path(told.model.weights))}"
    plain["machine"]["device"] = device_type(told.machine)
    return plain


def identity(told: Experiment) -> str:
    """The same for experiments with the same rows."""
    return digest(decisive(told))


_UNDECISIVE = (
    "data.folder",
    "pretraining.checkpoint_every",
    "meta.checkpoint_every",
    "evaluation.metric",
    "evaluation.interval",
    "machine.workers",
)


def _contents(weights: Path) -> str:
    """Of the file; a model.json of TF.js has its values in the shards beside it."""
    shards = sorted(weights.parent.glob("*.bin")) if weights.suffix.lower() == ".json" else []
    whole = hashlib.sha256()
    try:
        for path in (weights, *shards):
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise InputError(
            f"model.weights={str(weights)!r} cannot be read: {error.strerror}; give a file"
        ) from error
    return whole.hexdigest()


# -- layers of values ------------------------------------------------------------------------------


def _layered(chosen: str, given: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The preset's values, then `given`, then `overrides`. What was said for another value goes
    with that value.

    A backbone takes along the options that were given for another one, a way of adapting the
    preset's BatchNorm policy.
    """
    base, own = {"preset": chosen, **_merged(PRESETS[chosen], {})}, _merged(given, {})
    whole = _overridden(_merged(base, own), overrides)
    meant = _merged(PRESETS.get(str(given.get("preset", Experiment.preset)), {}), own)
    for layer, context, section, name, takes_along, default in (
        (base, base, "model", "backbone", "options", Model.backbone),
        (own, meant, "model", "backbone", "options", Model.backbone),
        (base, base, "evaluation", "adaptation", "norm", Evaluation.adaptation),
    ):
        if _found(context, section, name, default) != _found(whole, section, name, default):
            part = layer.get(section)
            if isinstance(part, dict):
                part.pop(takes_along, None)
    return {**_overridden(_merged(base, own), overrides), "preset": chosen}


def _overridden(merged: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """With values by dotted name put in their places."""
    for name, value in overrides.items():
        *sections, last = name.split(".")
        place = merged
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise InputError(
                    f"no setting is called {name!r}: {section!r} is a value and has no parts"
                )
        if isinstance(value, Mapping):
            # A section keeps what is not named; the parts of a value, such as a backbone's options,
            # are one value.
            before = None if sections else place.get(last)
            place[last] = _merged(before if isinstance(before, Mapping) else {}, value)
        else:
            place[last] = value
    return merged


def _found(layer: Mapping[str, Any], section: str, name: str, default: Any) -> Any:
    part = layer.get(section)
    return part.get(name, default) if isinstance(part, Mapping) else default


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A copy through and through: what is written into it is written into neither."""
    merged = {
        key: _merged(value, {}) if isinstance(value, Mapping) else value
        for key, value in base.items()
    }
    for key, value in more.items():
        before = merged.get(key)
        nested = isinstance(value, Mapping)
        merged[key] = (
            _merged(before if isinstance(before, Mapping) else {}, value) if nested else value
        )
    return merged


def _built(kind: type[Any], given: Any, place: str) -> Any:
    if not isinstance(given, Mapping):
        raise InputError(
            f"{place.rstrip('.') or 'an experiment'} is {given!r}; give a section of names and"
            " values"
        )
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in given:
        if name not in fields:
            raise InputError(
                unknown_name("setting", f"{place}{name}", [f"{place}{known}" for known in fields])
            )
    missing = dataclasses.MISSING
    for name, field in fields.items():
        if name not in given and field.default is missing and field.default_factory is missing:
            raise InputError(f"{place}{name} is missing; give it")
    hints = get_type_hints(kind)
    values = {name: _value(hints[name], value, f"{place}{name}") for name, value in given.items()}
    return kind(**values)


def _value(kind: Any, value: Any, place: str) -> Any:
    """`value` as the annotation wants it: exactly, but that a list becomes a tuple and a whole
    number a float.
    """
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _built(kind, value, f"{place}.")
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        value = str(value) if type(value) is int and str(value) in arguments else value
        if value not in arguments or type(value) not in map(type, arguments):
            raise InputError(f"{place} is {value!r}; give one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{place} is {value!r}; give a list")
        return tuple(_value(arguments[0], item, f"{place}[{at}]") for at, item in enumerate(value))
    if origin in (UnionType,):
        raise TypeError(f"{place}: unions are not settings")
    if kind in (int, float) and isinstance(value, bool):
        raise InputError(f"{place} is {value!r}; give a number")
    if kind is float and isinstance(value, int):
        value = float(value) if abs(value) < _TOO_LARGE else math.inf
    expected = Mapping if origin is not None else kind
    if not isinstance(value, expected):
        wanted = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        raise InputError(
            f"{place} is {value!r}; give {wanted.get(kind, 'a section of names and values')}"
        )
    _check_range(value, place)
    return value


_TOO_LARGE = 2**1000
_MAY_BE_ZERO = (
    *("ways", "shots", "seeds", "seed", "min_images", "evaluation.inner_steps", "workers"),
    *("weight_decay", "momentum", "warmup", "lr_end", "clip", "ema", "at_once"),
)


def _check_range(value: Any, place: str) -> None:
    whole = place.partition("[")[0]
    name = whole if whole in _MAY_BE_ZERO else whole.rpartition(".")[2]
    if isinstance(value, int | float) and not isinstance(value, bool):
        good = 0 < value < float("inf") or (value == 0 and name in _MAY_BE_ZERO)
        if not good:
            raise InputError(
                f"{place} is {value!r}; give a number"
                f" {'from 0' if name in _MAY_BE_ZERO else 'above 0'}"
            )

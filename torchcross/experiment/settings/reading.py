"""From a TOML file, or plain values, to an `Experiment`: typed and checked."""

from __future__ import annotations

import copy
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchcross._kit.suggestions import unknown_name
from torchcross._kit.user_files import read_user_file
from torchcross.backbones.addresses import beside, is_address
from torchcross.errors import InputError
from torchcross.experiment.settings.backbone_layers import (
    keep_one_choice_of_backbones,
    with_single_backbone,
)
from torchcross.experiment.settings.model_settings import BackboneSettings
from torchcross.experiment.settings.plain import with_backbone_table
from torchcross.experiment.settings.presets import PRESETS, newest_version, preset_values
from torchcross.experiment.settings.row_settings import with_checked_rows, with_dotted_names
from torchcross.experiment.settings.schema import EvaluationSettings, Experiment
from torchcross.experiment.settings.shots import with_shots_as_now
from torchcross.experiment.settings.training_sections import budget_of
from torchcross.experiment.settings.typed_values import section_of_values

_PATHS = (("data", "folder"), ("model", "weights"), ("text", "csv"), ("text", "vectors"))
"""Settings whose paths begin at the TOML file."""


def read_experiment(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment of a TOML file; `overrides` by dotted name ("data.targets") win over the file.

    A relative data folder, file of weights or of texts is looked for beside the TOML file, and so
    is a path in the backbone's address.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> overrides = {"algorithms": ["ncm"], "data.folder": "data", "shots": [1]}
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "first.toml"
    ...     _ = path.write_text('preset = "quick"')
    ...     print(tx.read_experiment(path, overrides).shots)
    (1,)
    """
    path = Path(path)
    values = read_toml(path)
    if "study" in values:
        raise InputError(
            f"{path} has a section [study], so it is a transfer study and no experiment; give it to"
            " `torchcross transfer run`"
        )
    for section, name in _PATHS:
        part = values.get(section)
        if isinstance(part, dict) and isinstance(part.get(name), str) and part[name]:
            part[name] = str(path.parent / part[name])
    if isinstance(plugins := values.get("plugins"), list):
        values["plugins"] = [
            str(path.parent / each) if isinstance(each, str) else each for each in plugins
        ]
    try:
        values = _with_backbones_beside(values, path.parent)
        return experiment_from_values(values, overrides)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _with_backbones_beside(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values with the paths in addresses of backbones looked for in a folder."""
    model = values.get("model")
    if not isinstance(model, Mapping):
        return dict(values)
    model = dict(model)
    if "backbone" in model:
        model["backbone"] = _beside(model["backbone"], folder)
    if isinstance(entries := model.get("backbones"), list):
        model["backbones"] = [_beside(entry, folder) for entry in entries]
    return {**values, "model": model}


def _beside(backbone: Any, folder: Path) -> Any:
    """A backbone, by its name or as a table, with its paths looked for in a folder."""
    if isinstance(backbone, str):
        return beside(backbone, folder) if is_address(backbone) else backbone
    if not isinstance(backbone, Mapping):
        return backbone
    table = dict(backbone)
    if isinstance(table.get("name"), str):
        table["name"] = _beside(table["name"], folder)
    if isinstance(table.get("weights"), str) and table["weights"]:
        table["weights"] = str(folder / table["weights"])
    return table


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file that a user wrote."""
    try:
        return tomllib.loads(read_user_file(path).decode())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; give a TOML file") from error
    except (ValueError, RecursionError) as error:
        # Not only TOML's and Unicode's errors: Python refuses numbers of thousands of digits.
        raise InputError(f"{path} is not TOML: {error}") from error


def experiment_from_values(
    values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Experiment:
    """The experiment of nested plain values.

    The preset's values come first, then `values`, then `overrides` by dotted name.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"an experiment is {values!r}; give a section of names and values")
    overrides = overrides or {}
    layers = _merge_layers(values, overrides)
    experiment = with_checked_rows(section_of_values(Experiment, layers, ""))
    object.__setattr__(experiment, "read_from", (copy.deepcopy(dict(values)), dict(overrides)))
    return experiment


def under_preset_version(experiment: Experiment, version: int) -> Experiment | None:
    """What was given for an experiment, read with another version of its preset.

    None where that is not known, or where a version was given with it.
    """
    values, overrides = experiment.read_from
    if not values and not overrides:
        return None
    if values.get("preset_version") or overrides.get("preset_version"):
        return None
    return experiment_from_values(values, {**overrides, "preset_version": version})


def gives_setting(experiment: Experiment, name: str) -> bool:
    """Whether the setting, by dotted name, was given for an experiment, and is no default."""
    values, overrides = experiment.read_from
    section, _, last = name.rpartition(".")
    return name in overrides or last in _part(values, section)


# -- layers of values ------------------------------------------------------------------------------


def _merge_layers(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    own = _layer({"preset": Experiment.preset, **values})
    flags = _layer(_sections_of(overrides))
    changed = _merge(own, flags)
    preset = changed["preset"]
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError(unknown_name("preset", str(preset), PRESETS))
    version = _preset_version(preset, changed.get("preset_version", 0))
    base = _layer(preset_values(preset, version))
    merged = with_shots_as_now({**_merge(base, changed), "preset_version": version})
    for section in ("pretraining", "meta"):
        _keep_one_budget(merged, section, (base, own, flags))
    keep_one_choice_of_backbones(merged, (base, own, flags))
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


def _preset_version(preset: str, version: Any) -> int:
    """The version that was asked for; 0 asks for the newest."""
    newest = newest_version(preset)
    if type(version) is not int or not 0 <= version <= newest:
        versions = "version 1 alone" if newest == 1 else f"the versions 1 to {newest}"
        raise InputError(
            f"preset_version is {version!r}, and the preset {preset!r} has {versions}; leave it out"
            " for the newest"
        )
    return version or newest


def _keep_one_budget(
    merged: dict[str, Any], section: str, layers: tuple[Mapping[str, Any], ...]
) -> None:
    """A layer that says how long to train, in steps or in epochs, wins over those before it."""
    budget: dict[str, Any] = {}
    for layer in layers:
        budget = budget_of(_part(layer, section)) or budget
    if budget and isinstance(merged.get(section), dict):
        merged[section] = {**merged[section], **budget}


def _layer(values: Mapping[str, Any]) -> dict[str, Any]:
    """One layer, with the backbone as a table, and settings of rows by dotted names."""
    model = values.get("model")
    if isinstance(model, Mapping) and "options" in model:
        warnings.warn(
            "model.options is deprecated: write the backbone's options into its own table,"
            " [model.backbone], beside its name; or --set model.backbone.OPTION=VALUE",
            FutureWarning,
            stacklevel=2,
        )
    return with_dotted_names(with_backbone_table(with_single_backbone(values)))


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

"""One backbone or several: which of the two the layers of an experiment's values ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchcross.errors import InputError
from torchcross.experiment.settings.model_settings import BackboneEntry, BackboneSettings


def with_single_backbone(values: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's plain values, in which a list of one is `[model.backbone]`.

    With a label, which names rows, it stays a list.
    """
    model = dict(_model_of(values))
    entries = model.get("backbones")
    if not isinstance(entries, list | tuple) or len(entries) != 1:
        return dict(values)
    (entry,) = entries
    table = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(table, Mapping) or not table.get("name") or table.get("label"):
        return dict(values)
    _refuse_both(model)
    if model.get("weights"):
        return dict(values)
    # As a table of its own, it could not be told that a key of the list is meant.
    BackboneEntry.of_table(table, "model.backbones[0]")
    del model["backbones"]
    table = dict(table)
    model["weights"] = table.pop("weights", "")
    if "normalisation" in table:
        model["normalisation"] = table.pop("normalisation")
    model["backbone"] = table
    return {**values, "model": model}


def keep_one_choice_of_backbones(
    merged: dict[str, Any], layers: Sequence[Mapping[str, Any]]
) -> None:
    """The last layer that names one backbone, or several, wins over those before it.

    The first layer is the preset: its list gives way to weights of one backbone, too.
    """
    is_list, last = False, -1
    for place, layer in enumerate(layers):
        model = _model_of(layer)
        if model.get("backbones"):
            _refuse_both(model)
            is_list, last = True, place
        elif model.get("backbone") or (model.get("weights") and last == 0):
            is_list, last = False, place
    if last < 0 or not isinstance(merged.get("model"), Mapping):
        return
    dropped = {"backbones"}
    if is_list:
        # Weights that the same layer gives, or a later one, are refused with the list.
        gives_weights = any("weights" in _model_of(layer) for layer in layers[last:])
        dropped = {"backbone"} if gives_weights else {"backbone", "weights"}
    merged["model"] = {
        name: value for name, value in merged["model"].items() if name not in dropped
    }


def _model_of(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    model = layer.get("model")
    return model if isinstance(model, Mapping) else {}


def _refuse_both(model: Mapping[str, Any]) -> None:
    """The default may stand beside a list: the plain values of an experiment have all settings."""
    default = BackboneSettings().as_table()
    if (model.get("backbone") or default) not in (default, default["name"]):
        raise InputError(
            f"model.backbone={model['backbone']!r} and model.backbones are given; give one backbone"
            " or several"
        )

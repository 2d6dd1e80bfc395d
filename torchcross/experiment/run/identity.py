"""What makes two experiments one run: the settings that decide rows, and a digest of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from torchcross._kit.plugin_files import load_plugins
from torchcross.backbones.addresses import without_places
from torchcross.errors import InputError
from torchcross.experiment.device import device_type
from torchcross.experiment.rows.addressed_backbones import pretrained_backbone
from torchcross.experiment.rows.stored_features import uses_features
from torchcross.experiment.rows.texts import files_digest
from torchcross.experiment.settings.model_settings import BackboneSettings
from torchcross.experiment.settings.plain import as_plain, digest, setting_fields
from torchcross.experiment.settings.row_settings import experiments_by_backbone
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.shots import with_shots_as_stored
from torchcross.training.options import decides_numbers, earlier_value


def decisive_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that decide rows, as plain values: not where data lie or how rows are shown.

    Weights are known by what is in their file, and by its revision on the hub; data by their own
    fingerprint (see `Collection.describe`).
    """
    plain = with_shots_as_stored(_decisive_fields(experiment))
    plain["model"] |= _decisive_weights(experiment)
    if entries := experiment.model.backbones:
        # Each of them as if it were the one backbone: what decides its own rows, and no others.
        by_label = experiments_by_backbone(experiment)
        plain["model"]["backbones"] = [
            {
                "label": entry.label,
                **_decisive_fields(by_label[entry.label].model),
                **_decisive_weights(by_label[entry.label]),
            }
            for entry in entries
        ]
    if experiment.plugins:
        # They are known by what is in them.
        plain["plugins"] = sorted({each.sha256 for each in load_plugins(experiment.plugins)})
    for name in {"csv", "vectors"} & plain.get("text", {}).keys():
        plain["text"][name] = f"sha256 {files_digest(Path(plain['text'][name]))}"
    for name in ("rows", "tuned"):
        # Experiments without them are those of versions that did not have them.
        if not plain[name]:
            del plain[name]
    if not uses_features(experiment):
        plain["evaluation"].pop("features", None)
    # A search makes no row; what it chose is in `tuned`.
    del plain["tune"]
    plain["machine"]["device"] = device_type(experiment.machine)
    return plain


def _decisive_weights(experiment: Experiment) -> dict[str, Any]:
    """What the weights of the one backbone are known by, and the backbone where it is addressed."""
    decisive: dict[str, Any] = {}
    if experiment.model.weights:
        decisive["weights"] = f"sha256 {_weights_digest(Path(experiment.model.weights))}"
    if experiment.model.backbone.is_addressed:
        decisive |= _decisive_address(experiment)
    return decisive


def _decisive_address(experiment: Experiment) -> dict[str, Any]:
    """The backbone without places, and its weights: what is in them, and what is made of it."""
    table = as_plain(experiment.model.backbone)
    decisive: dict[str, Any] = {"backbone": {**table, "name": without_places(table["name"])}}
    known = pretrained_backbone(experiment)
    if known is not None:
        # It is so by itself.
        decisive["backbone"].pop("pretrained", None)
        record, network = known.weights, dict(known.spec.options)
        if "config" in network:
            # Beside a configuration the name is a label, and may be that of a folder.
            del network["name"]
        decisive["weights"] = {
            "sha256": record.sha256,
            "revision": record.revision,
            "mean": as_plain(record.mean),
            "std": as_plain(record.std),
            "network": digest(network),
        }
    return decisive


def _decisive_fields(section: Any) -> Any:
    if not is_dataclass(section) or isinstance(section, BackboneSettings):
        return as_plain(section)
    values = {each: getattr(section, each.name) for each in setting_fields(section)}
    return {
        each.name: _decisive_fields(value)
        for each, value in values.items()
        # Digests of runs that were made before there was this setting lack it.
        if decides_numbers(each) and value != earlier_value(each)
    }


def identity(experiment: Experiment) -> str:
    """The same for experiments with the same rows.

    It is a digest of the settings in their first form, where the backbone's options stood in
    `model.options`: runs of that time go on.
    """
    plain = decisive_settings(experiment)
    options = dict(plain["model"]["backbone"])
    plain["model"] |= {"backbone": options.pop("name"), "options": options}
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

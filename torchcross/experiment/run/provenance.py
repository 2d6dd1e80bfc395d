"""Where numbers come from: versions, the state of the code, the machine and the data."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from torchcross._kit.plugin_files import load_plugins
from torchcross._kit.surroundings import installed_version
from torchcross.errors import InputError, TorchcrossError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.rows.addressed_backbones import pretrained_backbone
from torchcross.experiment.run.cells import WorkContext
from torchcross.experiment.run.extension_packages import extension_packages
from torchcross.experiment.run.folder import PROVENANCE
from torchcross.experiment.run.git_state import git_state
from torchcross.experiment.run.identity import decisive_settings
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.recorded_plugins import PLUGINS
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.row_settings import experiments_by_backbone
from torchcross.experiment.settings.schema import Experiment

UNREADABLE = "unreadable"
_FEATURES = "features"
_INPUTS = ("data", "weights", _FEATURES, PLUGINS)
"""What rows are computed from; the rest of a provenance is what computes them."""

_SHOWN = 6
_PACKAGES = (
    "torchcross-fewshot",
    "torch",
    "numpy",
    "scikit-learn",
    "h5py",
    "safetensors",
    "kornia",
)


def update_provenance(run: WorkContext, *, finished: bool) -> None:
    """Write provenance.json; refuse to mix rows of different data.

    A run that has all its rows keeps the surroundings that it has.
    """
    before = run.folder.plain(PROVENANCE)
    data = _same_data(data_description(run.collection), before, str(run.folder.path))
    now: dict[str, Any] = {"data": data}
    weights = {
        label: known
        for label, own in experiments_by_backbone(run.experiment).items()
        if (known := _weights_of(own)) is not None
    }
    if run.experiment.plugins:
        now[PLUGINS] = [each._asdict() for each in load_plugins(run.experiment.plugins)]
    if weights:
        now["weights"] = weights.get("", weights)
    if _FEATURES in before:
        now[_FEATURES] = before[_FEATURES]
    if before and finished:
        now = {**before, **now}
    else:
        names = {*extension_packages(run.experiment), *before.get("packages", ())}
        now = with_earlier(as_plain({**surroundings(sorted(names)), **now}), before)
    if now != before:
        write_json(run.folder.path / PROVENANCE, now)


def add_features(run: WorkContext, features: Mapping[str, Any]) -> None:
    """Write what is known of files of features that rows were made of, beside what was known."""
    before = run.folder.plain(PROVENANCE)
    now = {**before, _FEATURES: {**before.get(_FEATURES, {}), **as_plain(features)}}
    if features and now != before:
        write_json(run.folder.path / PROVENANCE, now)


def _weights_of(experiment: Experiment) -> dict[str, Any] | None:
    """What is known of the weights of its one backbone; None where it has none."""
    if file := experiment.model.weights:
        contents = decisive_settings(experiment)["model"]["weights"]
        return {"file": Path(file).name, "contents": contents}
    known = pretrained_backbone(experiment)
    return None if known is None else known.weights.as_dict()


def surroundings(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Versions of what computes, the git state of the working folder, and the machine.

    packages  further distributions that compute
    """
    cuda = torch.cuda.is_available()
    names = dict.fromkeys((*_PACKAGES, *packages))
    return {
        "packages": {name: number for name in names if (number := installed_version(name))},
        "python": platform.python_version(),
        "git": git_state(Path.cwd()),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if cuda else "none",
        },
    }


def with_earlier(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance that also has the other surroundings of the run so far, each of them once."""
    last = {name: value for name, value in before.items() if name not in (*_INPUTS, "earlier")}
    current = {name: value for name, value in now.items() if name not in _INPUTS}
    earlier: list[Any] = []
    for each in (*before.get("earlier", []), last):
        if each and each != current and each not in earlier:
            earlier.append(each)
    return {**now, "earlier": earlier} if earlier else dict(now)


def _same_data(data: Mapping[str, Any], before: Mapping[str, Any], run: str) -> dict[str, Any]:
    """The description of the data, completed by the earlier one; different data are refused."""
    known = before.get("data", data)
    if changed := list(contradictions(known, data)):
        more = f", and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise InputError(
            f"{run} holds rows of other data than there are now"
            f" ({', '.join(changed[:_SHOWN])}{more} changed); give another folder, so that no table"
            " mixes them"
        )
    description: dict[str, Any] = complete_description(data, known)
    return description


def data_description(collection: Collection) -> dict[str, Any]:
    """What a collection says of its data, as plain values.

    Data that cannot be read is no error here: rows that need it fail on their own.
    """
    try:
        description: dict[str, Any] = as_plain(dict(collection.describe()))
    except (TorchcrossError, OSError) as error:
        return {UNREADABLE: str(error)}
    return description


def contradictions(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """The dotted names of what differs; what could not be read differs from nothing."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        if before != now:
            yield place
    elif UNREADABLE not in before and UNREADABLE not in now:
        for name in sorted(before.keys() | now.keys()):
            here = f"{place}.{name}" if place else name
            if name in before and name in now:
                yield from contradictions(before[name], now[name], here)
            else:
                yield here


def complete_description(now: Any, before: Any) -> Any:
    """The present description; what cannot be read now is as it was when it could be read."""
    if not isinstance(now, dict) or not isinstance(before, dict) or UNREADABLE in before:
        return now
    if UNREADABLE in now:
        return before
    return {name: complete_description(value, before.get(name)) for name, value in now.items()}

"""Files of predictions: safetensors with a content hash, documented in docs/predictions.md.

Each integer tensor is stored in the smallest type that holds its values, log-odds in the type that
they have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchcross._kit import tensor_files
from torchcross._kit.content_hash import damage_error
from torchcross._kit.user_files import check_regular
from torchcross.errors import InputError, ReadError
from torchcross.records.predictions import Predictions
from torchcross.targets import Target
from torchcross.targets.added import TARGETS
from torchcross.task import Task

FORMAT, VERSION, VERSION_WITH_SETS = "torchcross-predictions", 1, 2
_ADVICE = "write the file again, or put it back from a copy"
_INTEGERS = ("episodes", "sizes", "images", "labels", "decisions")
_SUBJECTS, _SETS, _SETS_ABSENT = "subjects", "sets", "sets_absent"
_TENSORS = {*_INTEGERS, "log_odds"}
_RECORD: Mapping[str, type] = {
    "source": str,
    "algorithm": str,
    "shots": int,
    "seed": int,
    "split": str,
}
_TASK: Mapping[str, type] = {
    "name": str,
    "domain": str,
    "kind": str,
    "classes": list,
    "values": list,
}


def write_predictions(predictions: Predictions, path: Path) -> Path:
    """Write predictions under `path`, whole or not at all."""
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"{path} has an unknown ending; give a name that ends in .safetensors")
    optional = [name for name in (_SUBJECTS, _SETS) if getattr(predictions, name) is not None]
    tensors = {name: _compact(getattr(predictions, name)) for name in (*_INTEGERS, *optional)}
    tensors["log_odds"] = torch.from_numpy(np.array(predictions.log_odds))
    task = predictions.task
    record = {
        "version": VERSION if predictions.sets is None else VERSION_WITH_SETS,
        **{name: getattr(predictions, name) for name in _RECORD},
        "task": {
            "name": task.name,
            "domain": task.domain,
            "kind": task.target.kind,
            "classes": list(task.classes),
            "values": list(task.target.values),
        },
    }
    if predictions.sets_absent:
        record[_SETS_ABSENT] = predictions.sets_absent
    text = json.dumps(record, sort_keys=True)
    tensor_files.write(path, tensors, {FORMAT: text})
    return path


def read_predictions(path: str | Path) -> Predictions:
    """Read a file of predictions and check all of it.

    A content hash is checked; files of other programs need none.
    """
    return read_hashed_predictions(Path(path))[0]


def read_hashed_predictions(
    path: Path, *, hashed: bool = False, advice: str = _ADVICE
) -> tuple[Predictions, bool]:
    """(the predictions of a file, whether it has a content hash); with `hashed` it must have one.

    `advice` says what to do with a damaged one.
    """
    try:
        check_regular(path)
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read ({error.strerror or error}); give the path of a file"
        ) from error
    tensors, metadata = tensor_files.read(path)
    has_hash = tensor_files.HASH in metadata
    if hashed and not has_hash:
        raise damage_error(path, advice, lost=True)
    record = _record_of(path, metadata)
    names = set(tensors)
    if names - {_SUBJECTS, _SETS} != _TENSORS:
        raise ReadError(
            f"{path} holds the tensors {sorted(names)}; a file of predictions has"
            f" {sorted(_TENSORS)}; {advice}"
        )
    try:
        fields: dict[str, Any] = {name: record[name] for name in _RECORD}
        fields[_SETS_ABSENT] = record.get(_SETS_ABSENT, "")
        fields |= {name: tensor.numpy() for name, tensor in tensors.items()}
        return Predictions(task=_task_of(record["task"]), **fields), has_hash
    except (InputError, TypeError, RuntimeError) as error:
        raise ReadError(f"{path} is no file of predictions: {error}; {advice}") from error


def _compact(values: Any) -> Tensor:
    """As the smallest signed integers that hold the values."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    kind = np.min_scalar_type(min(low, -high - 1))
    return torch.from_numpy(values.astype(kind))


def _record_of(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the metadata say, with every field of its type."""
    if FORMAT not in metadata:
        raise ReadError(
            f"{path} is a safetensors file and holds no predictions; give a file of the folder"
            " predictions/ of a run, or one that Predictions.write wrote"
        )
    try:
        record: dict[str, Any] = json.loads(metadata[FORMAT])
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{path}: its record is no JSON ({error}); {_ADVICE}") from error
    version = record.get("version") if isinstance(record, dict) else None
    if version not in (VERSION, VERSION_WITH_SETS):
        raise ReadError(
            f"{path} is of format version {version!r}, and this version of torchcross reads those"
            f" up to {VERSION_WITH_SETS}; update torchcross to read it"
        )
    parts = ((record, {**_RECORD, "task": dict}), (record.get("task") or {}, _TASK))
    for place, fields in parts:
        if wrong := [name for name, kind in fields.items() if type(place.get(name)) is not kind]:
            raise ReadError(f"{path}: its record has no usable {', '.join(wrong)}; {_ADVICE}")
    return record


def _task_of(values: Mapping[str, Any]) -> Task:
    kinds = {kind.kind: kind for kind in _kinds_of_targets(Target)}
    if values["kind"] not in kinds and values["kind"] in TARGETS:
        # Of an installed package that nobody has imported yet.
        kinds[values["kind"]] = TARGETS[values["kind"]]
    if values["kind"] not in kinds:
        raise InputError(
            f"its target is of the type {values['kind']!r}, and there are {sorted(kinds)}; import"
            " the package that defines it, or give its plugin file (--plugin)"
        )
    classes: Any = values["classes"]
    # A label value for each class where there is one; otherwise a class's place is its value.
    if len(values["values"]) == len(classes):
        classes = dict(zip(values["values"], classes, strict=True))
    return Task(values["name"], kinds[values["kind"]](classes), values["domain"])


def _kinds_of_targets(kind: Any) -> Iterator[Any]:
    """All classes that derive from it and say what kind they are."""
    for each in kind.__subclasses__():
        if "kind" in vars(each):
            yield each
        yield from _kinds_of_targets(each)

"""A predictor as a file: tensors, and everything else as JSON in the header's metadata.

To add a field to predictor files: add it to `PredictorRecord` and `_KINDS`, and fill it where
`backbone_learner.py` makes the record. If it is no plain JSON value, convert it in `_as_json` and
`_from_json`. Every field of `_KINDS` is required, so files without the new field are refused: raise
`VERSION`, or give the field a default there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from torchcross._kit import tensor_files
from torchcross.algorithms._shared.input_normalisation import InputNormalisation
from torchcross.backbones import build
from torchcross.errors import InputError, ReadError
from torchcross.functional.network.norm_policies import POLICIES
from torchcross.heads import FORMS
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Target
from torchcross.task import Task

FORMAT, VERSION = "torchcross-predictor", 1
PARTS = ("params", "buffers", "statistics", "head")
_TARGETS: dict[str, Any] = {cls.kind: cls for cls in (Binary, MultiClass, MultiLabel, Ordinal)}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "task": dict,
    "protocol": dict,
    "form": str,
    "step": int,
    "norm": str,
    "fast": bool,
    "pixels": dict,
    "backbone": (dict, type(None)),
}

# Named tensors by the part they belong to, one of `PARTS`.
Tensors = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class PredictorRecord:
    """Everything of a predictor but its tensors.

    task      what is predicted
    protocol  how the predictor came about, for reports
    form      of the head: `linear`, `ridge`, `euclidean` or `cosine`
    step      the number of inner steps taken, which selects the rows of `per_step` BatchNorm
    norm      BatchNorm policy
    fast      whether the network uses the faster forms of its layers
    pixels    what happens to images before the backbone
    backbone  its description; None for a module of the user's own
    """

    task: Task
    protocol: dict[str, Any]
    form: str
    step: int
    norm: str
    fast: bool
    pixels: InputNormalisation
    backbone: dict[str, Any] | None


def write(path: Path, record: PredictorRecord, tensors: Tensors) -> None:
    flat = {
        f"{part}:{name}": value for part, tree in tensors.items() for name, value in tree.items()
    }
    text = json.dumps({"version": VERSION, **_as_json(record)}, sort_keys=True)
    tensor_files.write(path, flat, {FORMAT: text})


def read(path: Path) -> tuple[PredictorRecord, Tensors]:
    flat, metadata = tensor_files.read(path)
    record = _from_json(path, _checked_values(path, metadata))
    tensors: Tensors = {part: {} for part in PARTS}
    for key, value in flat.items():
        part, colon, name = key.partition(":")
        if not colon or part not in tensors:
            raise ReadError(f"{path} holds the tensor {key!r}, which is no part of a predictor.")
        tensors[part][name] = value
    return record, tensors


def _checked_values(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Return the values of a record, each of the right type."""
    if FORMAT not in metadata:
        raise ReadError(
            f"{path} is a safetensors file and holds no predictor; give a file that predictor.save"
            " wrote."
        )
    try:
        values = json.loads(metadata[FORMAT])
    except (ValueError, RecursionError) as error:
        raise ReadError(
            f"{path} holds a predictor whose record is no JSON ({error}); save it again."
        ) from error
    version = values.get("version") if isinstance(values, dict) else None
    if version != VERSION:
        raise ReadError(
            f"{path} is a predictor of format version {version!r}; this library reads version"
            f" {VERSION}."
        )
    for name, kind in _KINDS.items():
        if name not in values or not isinstance(values[name], kind):
            raise _unusable(path, name)
    if values["step"] < 0 or isinstance(values["step"], bool):
        raise _unusable(path, "step")
    if values["norm"] not in POLICIES:
        raise _unusable(path, "norm")
    if values["form"] not in FORMS:
        raise ReadError(
            f"{path} has a head of the unknown form {values['form']!r}; it may be from a later"
            " version."
        )
    checked: dict[str, Any] = values
    return checked


def _unusable(path: Path, name: str) -> ReadError:
    return ReadError(
        f"{path} holds a predictor whose record has no usable {name!r}; save it again."
    )


def _as_json(record: PredictorRecord) -> dict[str, Any]:
    target = record.task.target
    task = {
        "name": record.task.name,
        "domain": record.task.domain,
        "kind": target.kind,
        "classes": list(target.classes),
        "values": list(target.values),
        "missing": list(target.missing),
        "loss": target.loss_name,
        "loss_options": dict(target.loss_options),
    }
    values = {name: getattr(record, name) for name in _KINDS}
    return {**values, "task": task, "pixels": record.pixels.describe()}


def _from_json(path: Path, values: dict[str, Any]) -> PredictorRecord:
    plain = {name: values[name] for name in _KINDS}
    task, pixels = _task_from(path, values["task"]), _normalisation_from(path, values["pixels"])
    return PredictorRecord(**{**plain, "task": task, "pixels": pixels})


def _normalisation_from(path: Path, values: dict[str, Any]) -> InputNormalisation:
    try:
        mean, std, left_alone = (values[key] for key in ("mean", "std", "left_alone"))
        if not (isinstance(mean, list) and isinstance(std, list) and isinstance(left_alone, bool)):
            raise _unusable(path, "pixels")
        return InputNormalisation(tuple(mean), tuple(std), left_alone)
    except (KeyError, TypeError, InputError) as error:
        raise _unusable(path, "pixels") from error


def _task_from(path: Path, values: dict[str, Any]) -> Task:
    try:
        classes, codes = values["classes"], values["values"]
        # A label value for each class where there is one; otherwise a class's place is its value.
        if len(codes) == len(classes):
            classes = dict(zip(codes, classes, strict=True))
        target: Target = _TARGETS[values["kind"]](
            classes,
            missing=tuple(values["missing"]),
            loss=values["loss"],
            **values["loss_options"],
        )
        return Task(values["name"], target, values["domain"])
    except (KeyError, TypeError, InputError) as error:
        raise ReadError(
            f"{path}: the predictor's task cannot be read: {error!r}; save it again."
        ) from error


def backbone_spec(backbone: nn.Module) -> dict[str, Any] | None:
    """Return the description of a backbone of the library; None for other modules."""
    spec: Any = getattr(backbone, "spec", None)
    return spec.as_dict() if hasattr(spec, "as_dict") else None


def backbone_for(path: Path, record: PredictorRecord, own: nn.Module | None) -> nn.Module:
    """Return the backbone that the file's tensors belong to: the user's own, or a new one."""
    if own is not None:
        return own
    if record.backbone is None:
        raise InputError(
            f"{path} was made with a backbone of your own, which a file cannot hold; pass a module"
            " like it: load_predictor(path, backbone=...)."
        )
    return build(record.backbone)

"""A predictor as a file: tensors, and everything else as JSON in the header's metadata.

To add a field to predictor files: add it to `PredictorRecord` and `_KINDS`, and fill it where
`backbone_learner.py` makes the record. If it is no plain JSON value, convert it in `_as_json` and
`_from_json`. Every field of `_KINDS` is required, so files without the new field are refused: raise
`VERSION`, or add the field to `_LATER_KINDS`, whose fields are None in files from before them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from torchcross._kit import tensor_files
from torchcross.backbones.input_normalisation import InputNormalisation
from torchcross.errors import InputError, ReadError
from torchcross.functional.network.norm_policies import POLICIES
from torchcross.heads import FORMS
from torchcross.targets import Target
from torchcross.targets.added import TARGETS
from torchcross.task import Task

FORMAT, VERSION = "torchcross-predictor", 1
PARTS = ("params", "buffers", "statistics", "head")
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
_LATER_KINDS: dict[str, type | tuple[type, ...]] = {
    "image_shape": (list, type(None)),
    "layers": (dict, type(None)),
    "members": (int, type(None)),
    "counts": (list, type(None)),
}

# Named tensors by the part they belong to, one of `PARTS`.
Tensors = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class PredictorRecord:
    """Everything of a predictor but its tensors.

    task         what is predicted
    protocol     how the predictor came about, for reports
    form         of the head: one of `torchcross.heads.FORMS`
    step         the number of inner steps taken, which selects the rows of `per_step` BatchNorm
    norm         BatchNorm policy
    fast         whether the network uses the faster forms of its layers
    pixels       what happens to images before the backbone
    backbone     its description; None for a module of the user's own
    image_shape  of the images that it was adapted to; None where that is not known
    layers       the backbone's layers, as `described_layers` describes them
    members      how many adapted networks an ensemble has; None: it is one network
    counts       of a support set that had not every class (`support_counts`); else None
    """

    task: Task
    protocol: dict[str, Any]
    form: str
    step: int
    norm: str
    fast: bool
    pixels: InputNormalisation
    backbone: dict[str, Any] | None
    image_shape: tuple[int, ...] | None = None
    layers: dict[str, str] | None = None
    members: int | None = None
    counts: tuple[int, ...] | None = None


def write(path: Path, record: PredictorRecord, tensors: Tensors) -> None:
    flat = {
        f"{part}:{name}": value for part, tree in tensors.items() for name, value in tree.items()
    }
    tensor_files.write(path, flat, {FORMAT: _readable_text(path, record)})


def _readable_text(path: Path, record: PredictorRecord) -> str:
    """The record as text, from which the same record is read again."""
    target = record.task.target
    advice = (
        "A file can hold the targets and losses of this library, and those that are added with"
        " torchcross.targets.add_target and add_loss (a plugin file, or an entry point), with plain"
        " values. For others, keep what the predictor was adapted from, and adapt again."
    )
    try:
        text = json.dumps({"version": VERSION, **_as_json(record)}, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be written: the predictor's record is no plain JSON ({error}). {advice}"
        ) from error
    if target.kind not in TARGETS or type(target) is not TARGETS[target.kind]:
        raise InputError(
            f"{path} cannot be written: {type(target).__name__} is a target of your own, which"
            f" cannot be read again. {advice}"
        )
    try:
        task = _task_from(path, json.loads(text)["task"])
    except ReadError as error:
        raise InputError(
            f"{path} cannot be written: its task could not be read again ({error}). {advice}"
        ) from error
    if _task_as_json(task) != _task_as_json(record.task):
        raise InputError(
            f"{path} cannot be written: the task {record.task.name!r} would be read as another one."
            f" {advice}"
        )
    return text


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
    _check_kinds(path, values)
    checked: dict[str, Any] = values
    return checked


def _check_kinds(path: Path, values: dict[str, Any]) -> None:
    """Each field has the right type."""
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
    _check_later_kinds(path, values)


def _check_later_kinds(path: Path, values: dict[str, Any]) -> None:
    """Fields that later versions added may be missing; they are None then."""
    for name, kind in _LATER_KINDS.items():
        if not isinstance(values.setdefault(name, None), kind):
            raise _unusable(path, name)
    if not all(_is_size(size) for size in values["image_shape"] or ()):
        raise _unusable(path, "image_shape")
    if not all(_is_count(count) for count in values["counts"] or ()):
        raise _unusable(path, "counts")
    if not all(isinstance(text, str) for text in (values["layers"] or {}).values()):
        raise _unusable(path, "layers")
    if values["members"] is not None and not _is_size(values["members"]):
        raise _unusable(path, "members")


def _is_size(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and 0 < size < 1 << 31


def _is_count(count: object) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 1 << 31


def _unusable(path: Path, name: str) -> ReadError:
    return ReadError(
        f"{path} holds a predictor whose record has no usable {name!r}; save it again."
    )


def _as_json(record: PredictorRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in (*_KINDS, *_LATER_KINDS)}
    return {
        **values,
        "task": _task_as_json(record.task),
        "pixels": record.pixels.describe(),
    }


def _task_as_json(task: Task) -> dict[str, Any]:
    target = task.target
    return {
        "name": task.name,
        "domain": task.domain,
        "kind": target.kind,
        "classes": list(target.classes),
        "values": list(target.values),
        "missing": list(target.missing),
        "loss": target.loss_name,
        "loss_options": dict(target.loss_options),
    }


def _from_json(path: Path, values: dict[str, Any]) -> PredictorRecord:
    plain = {name: values[name] for name in (*_KINDS, *_LATER_KINDS)}
    own = {
        "task": _task_from(path, values["task"]),
        "pixels": _normalisation_from(path, values["pixels"]),
        "image_shape": _as_tuple(values["image_shape"]),
        "counts": _as_tuple(values["counts"]),
    }
    return PredictorRecord(**{**plain, **own})


def _as_tuple(values: list[int] | None) -> tuple[int, ...] | None:
    return None if values is None else tuple(values)


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
        kind: Any = TARGETS[values["kind"]]
        target: Target = kind(
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

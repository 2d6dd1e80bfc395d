"""A predictor as a file: tensors, and everything else as JSON in the header's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from torchcross import _tensor_files
from torchcross.backbones import build
from torchcross.errors import InputError, ReadError
from torchcross.heads import FORMS
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Target
from torchcross.task import Task

__all__ = ["PARTS", "backbone_for", "check_fit", "read", "spec_of", "task_from", "task_record", "write"]

FORMAT, VERSION = "torchcross-predictor", 1
PARTS = ("params", "buffers", "statistics", "head")
_TARGETS: dict[str, Any] = {cls.kind: cls for cls in (Binary, MultiClass, MultiLabel, Ordinal)}
_RECORD: dict[str, type | tuple[type, ...]] = {
    "task": dict,
    "protocol": dict,
    "form": str,
    "step": int,
    "norm": str,
    "fast": bool,
    "pixels": dict,
    "backbone": (dict, type(None)),
}

Tensors = dict[str, dict[str, Tensor]]


def write(path: Path, tensors: Tensors, record: dict[str, Any]) -> None:
    flat = {f"{part}:{name}": value for part, tree in tensors.items() for name, value in tree.items()}
    text = json.dumps({"version": VERSION, **record}, sort_keys=True)
    _tensor_files.write(path, flat, {FORMAT: text})


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    flat, metadata = _tensor_files.read(path)
    if FORMAT not in metadata:
        raise ReadError(f"{path} is a safetensors file and holds no predictor; give a file that predictor.save wrote.")
    try:
        record = json.loads(metadata[FORMAT])
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{path} holds a predictor whose record is no JSON ({error}); save it again.") from error
    if not isinstance(record, dict) or record.get("version") != VERSION:
        version = record.get("version") if isinstance(record, dict) else None
        raise ReadError(f"{path} is a predictor of format version {version!r}; this library reads version {VERSION}.")
    for name, kind in _RECORD.items():
        if name not in record or not isinstance(record[name], kind):
            raise ReadError(f"{path} holds a predictor whose record has no usable {name!r}; save it again.")
    if record["form"] not in FORMS:
        raise ReadError(f"{path} has a head of the unknown form {record['form']!r}; it may be from a later version.")
    tensors: Tensors = {part: {} for part in PARTS}
    for key, value in flat.items():
        part, colon, name = key.partition(":")
        if not colon or part not in tensors:
            raise ReadError(f"{path} holds the tensor {key!r}, which is no part of a predictor.")
        tensors[part][name] = value
    return tensors, record


def task_record(task: Task) -> dict[str, Any]:
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


def task_from(record: dict[str, Any]) -> Task:
    try:
        classes, values = record["classes"], record["values"]
        # A label value for each class, where there is one; otherwise classes are known by their place.
        described = dict(zip(values, classes, strict=True)) if len(values) == len(classes) else classes
        kind = _TARGETS[record["kind"]]
        target: Target = kind(
            described, missing=tuple(record["missing"]), loss=record["loss"], **record["loss_options"]
        )
        return Task(record["name"], target, record["domain"])
    except (KeyError, TypeError, InputError) as error:
        raise ReadError(f"the predictor's task cannot be read: {error!r}; save it again.") from error


def spec_of(backbone: nn.Module) -> dict[str, Any] | None:
    """The backbone's own description, where it is one of the library's."""
    spec = getattr(backbone, "spec", None)
    if spec is None or not hasattr(spec, "as_dict"):
        return None
    described: dict[str, Any] = spec.as_dict()
    return described


def backbone_for(path: Path, record: dict[str, Any], given: nn.Module | None) -> nn.Module:
    if given is not None:
        return given
    if record["backbone"] is None:
        raise InputError(
            f"{path} was made with a backbone of your own, which a file cannot hold; pass a module like it: "
            "load_predictor(path, backbone=...)."
        )
    return build(record["backbone"])


def check_fit(path: Path, module: nn.Module, tensors: Tensors) -> None:
    """The file's tensors and the module's have the same names and shapes (rows of statistics for each step aside)."""
    for part, named in (("params", module.named_parameters()), ("buffers", module.named_buffers())):
        own, read = dict(named), tensors[part]
        if missing := sorted(own.keys() - read.keys()):
            raise InputError(
                f"{path} lacks {len(missing)} {part} of {type(module).__name__}, such as {missing[0]!r}; pass the "
                "kind of backbone it was made with."
            )
        if extra := sorted(read.keys() - own.keys()):
            raise InputError(
                f"{path} has {len(extra)} {part} that {type(module).__name__} has not, such as {extra[0]!r}; pass "
                "the kind of backbone it was made with."
            )
        for name, value in own.items():
            found, expected = tuple(read[name].shape), tuple(value.shape)
            if found != expected and (part == "params" or found[1:] != expected):
                raise InputError(
                    f"{path}: {name!r} has the shape {found} and {type(module).__name__} expects {expected}; pass "
                    "the kind of backbone it was made with."
                )

"""A predictor as a file: tensors, and everything else as JSON in the header's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchcross._kit import tensor_files
from torchcross.algorithms._shared.input_normalisation import Pixels
from torchcross.backbones import build
from torchcross.errors import InputError, ReadError
from torchcross.functional.network.norm_policies import POLICIES
from torchcross.heads import BIAS, FORMS, WEIGHT
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Target
from torchcross.task import Task

__all__ = [
    "PARTS",
    "backbone_for",
    "check_fit",
    "check_head",
    "head_width",
    "pixels_from",
    "read",
    "spec_of",
    "task_from",
    "task_record",
    "write",
]

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
    flat = {
        f"{part}:{name}": value for part, tree in tensors.items() for name, value in tree.items()
    }
    text = json.dumps({"version": VERSION, **record}, sort_keys=True)
    tensor_files.write(path, flat, {FORMAT: text})


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    flat, metadata = tensor_files.read(path)
    if FORMAT not in metadata:
        raise ReadError(
            f"{path} is a safetensors file and holds no predictor; give a file that predictor.save"
            " wrote."
        )
    try:
        record = json.loads(metadata[FORMAT])
    except (ValueError, RecursionError) as error:
        raise ReadError(
            f"{path} holds a predictor whose record is no JSON ({error}); save it again."
        ) from error
    if not isinstance(record, dict) or record.get("version") != VERSION:
        version = record.get("version") if isinstance(record, dict) else None
        raise ReadError(
            f"{path} is a predictor of format version {version!r}; this library reads version"
            f" {VERSION}."
        )
    for name, kind in _RECORD.items():
        if name not in record or not isinstance(record[name], kind):
            raise _unusable(path, name)
    if record["step"] < 0 or isinstance(record["step"], bool):
        raise _unusable(path, "step")
    if record["norm"] not in POLICIES:
        raise _unusable(path, "norm")
    if record["form"] not in FORMS:
        raise ReadError(
            f"{path} has a head of the unknown form {record['form']!r}; it may be from a later"
            " version."
        )
    tensors: Tensors = {part: {} for part in PARTS}
    for key, value in flat.items():
        part, colon, name = key.partition(":")
        if not colon or part not in tensors:
            raise ReadError(f"{path} holds the tensor {key!r}, which is no part of a predictor.")
        tensors[part][name] = value
    return tensors, record


def _unusable(path: Path, name: str) -> ReadError:
    return ReadError(
        f"{path} holds a predictor whose record has no usable {name!r}; save it again."
    )


def pixels_from(path: Path, record: dict[str, Any]) -> Pixels:
    try:
        mean, std, left_alone = (record["pixels"][key] for key in ("mean", "std", "left_alone"))
        if not (isinstance(mean, list) and isinstance(std, list) and isinstance(left_alone, bool)):
            raise _unusable(path, "pixels")
        return Pixels(tuple(mean), tuple(std), left_alone)
    except (KeyError, TypeError, InputError) as error:
        raise _unusable(path, "pixels") from error


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
        # A label value for each class, where there is one; otherwise classes are known by their
        # place.
        described = (
            dict(zip(values, classes, strict=True)) if len(values) == len(classes) else classes
        )
        kind = _TARGETS[record["kind"]]
        target: Target = kind(
            described,
            missing=tuple(record["missing"]),
            loss=record["loss"],
            **record["loss_options"],
        )
        return Task(record["name"], target, record["domain"])
    except (KeyError, TypeError, InputError) as error:
        raise ReadError(
            f"the predictor's task cannot be read: {error!r}; save it again."
        ) from error


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
            f"{path} was made with a backbone of your own, which a file cannot hold; pass a module"
            " like it: load_predictor(path, backbone=...)."
        )
    return build(record["backbone"])


def check_head(path: Path, form: str, target: Target, tensors: Tensors) -> None:
    """The head has the tensors of its form and target, in numbers of the backbone's kind."""
    head = tensors["head"]
    expected = _head_shapes(form, target)
    for name in [*sorted(expected.keys() - head.keys()), *sorted(head.keys() - expected.keys())]:
        told = f"lacks {name!r}" if name in expected else f"has {name!r} too"
        raise ReadError(
            f"{path} holds a head of the form {form!r} that {told}; save the predictor again."
        )
    kinds = {value.dtype for value in tensors["params"].values() if value.is_floating_point()}
    for name, shape in expected.items():
        found = tuple(head[name].shape)
        if len(found) != len(shape) or any(
            size not in (None, at) for size, at in zip(shape, found, strict=True)
        ):
            wanted = tuple("any" if size is None else size for size in shape)
            raise ReadError(
                f"{path}: {name!r} has the shape {found} and its task needs {wanted}; save it"
                " again."
            )
        if not head[name].is_floating_point() or (kinds and head[name].dtype not in kinds):
            raise ReadError(
                f"{path}: {name!r} is {head[name].dtype} and its backbone is not; save it again."
            )


def _head_shapes(form: str, target: Target) -> dict[str, tuple[int | None, ...]]:
    """The head's shapes; None for the number of features."""
    if form == "linear":
        return {WEIGHT: (target.head.weight_rows, None), BIAS: (target.head.biases,)}
    if form == "ridge":
        nothing = torch.zeros((1, *target.label_shape), dtype=torch.int64)
        return {WEIGHT: (None, target.regression_targets(nothing).shape[1]), "head.scale": ()}
    means: dict[str, tuple[int | None, ...]] = {"head.prototypes": (target.num_prototypes, None)}
    return {**means, "head.scale": ()} if form == "cosine" else means


def head_width(form: str, head: dict[str, Tensor]) -> int:
    """The number of features that a head takes."""
    if form == "ridge":
        return head[WEIGHT].shape[0]
    return head[WEIGHT if form == "linear" else "head.prototypes"].shape[1]


def check_fit(path: Path, module: nn.Module, tensors: Tensors, *, rows: bool, step: int) -> None:
    """The file's tensors and the module's have the same names and shapes, and its numbers are
    numbers.

    Buffers may have a row for each step, and with `rows` so may vectors (BatchNorm's weights).
    """
    _check_numbers(path, tensors)
    _check_statistics(path, dict(module.named_buffers()), tensors["statistics"])
    for part, named in (("params", module.named_parameters()), ("buffers", module.named_buffers())):
        own, read = dict(named), tensors[part]
        if missing := sorted(own.keys() - read.keys()):
            raise InputError(
                f"{path} lacks {len(missing)} {part} of {type(module).__name__}, such as"
                f" {missing[0]!r}; pass the kind of backbone it was made with."
            )
        if extra := sorted(read.keys() - own.keys()):
            raise InputError(
                f"{path} has {len(extra)} {part} that {type(module).__name__} has not, such as"
                f" {extra[0]!r}; pass the kind of backbone it was made with."
            )
        for name, value in own.items():
            found, expected = tuple(read[name].shape), tuple(value.shape)
            may_have_rows = part == "buffers" or (rows and len(expected) == 1)
            if found != expected and not (may_have_rows and found[1:] == expected):
                raise InputError(
                    f"{path}: {name!r} has the shape {found} and {type(module).__name__} expects"
                    f" {expected}; pass the kind of backbone it was made with."
                )
            if found != expected and rows and step >= found[0]:
                raise ReadError(
                    f"{path} is of step {step}, and {name!r} has {found[0]} rows; save it again."
                )
            if read[name].is_floating_point() != value.is_floating_point():
                raise ReadError(
                    f"{path}: {name!r} is {read[name].dtype} and not like {value.dtype}; save it"
                    " again."
                )


def _check_numbers(path: Path, tensors: Tensors) -> None:
    for part in ("params", "statistics", "head"):
        for name, value in tensors[part].items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise ReadError(
                    f"{path}: {name!r} holds NaN or infinite numbers; adapt and save it again."
                )


def _check_statistics(
    path: Path, buffers: dict[str, Tensor], statistics: dict[str, Tensor]
) -> None:
    """A mean and a variance for each call of a layer (`layer#call.mean`), one number for each of
    its channels.
    """
    for name, value in statistics.items():
        call, _, kind = name.rpartition(".")
        layer = call.partition("#")[0]
        other = f"{call}.{'variance' if kind == 'mean' else 'mean'}"
        like = buffers.get(f"{layer}.running_mean" if layer else "running_mean")
        if other not in statistics:
            raise ReadError(f"{path} has the statistics {name!r} without {other!r}; save it again.")
        if (
            value.dim() != 1
            or not value.is_floating_point()
            or (like is not None and value.shape != like.shape)
        ):
            raise ReadError(
                f"{path}: the statistics {name!r} have the shape {tuple(value.shape)}; save it"
                " again."
            )

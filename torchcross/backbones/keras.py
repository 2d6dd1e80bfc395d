"""Keras's ResNet-50 in the TensorFlow.js layers format, under torchvision's names.

The format is a model.json and float32 shards. Kernels are turned from (H, W, in, out) to
(out, in, H, W), and the first one from BGR to RGB. A convolution's bias b before a norm with
running mean m becomes m - b: the same function, and torchvision's names have no place for b.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross.backbones.weight_files import Entries, read_bytes
from torchcross.errors import InputError

_BRANCH = re.compile(r"(res|bn)([2-5])([a-z])_branch(1|2a|2b|2c)")
_PART = {"2a": "1", "2b": "2", "2c": "3"}
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_FLOAT = np.dtype("<f4")
_NOTES = (
    "Keras's layout and names turned into torchvision's",
    "the first kernel turned from BGR to RGB",
    "biases of convolutions folded into the running means behind them",
)
_NORMS = ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2")


def read_keras(path: Path, *, norm_eps: float) -> Entries:
    """The entries of a converted Keras ResNet-50; the classifier keeps its name, `fc1000`."""
    raw = read_bytes(path)
    model = _model(path, raw)
    _check_eps(path, model, norm_eps)
    digest = hashlib.sha256(raw)
    arrays: dict[str, NDArray[np.float32]] = {}
    for group in model["weightsManifest"]:
        data = b"".join(_shards(path, group))
        digest.update(data)
        for name, value in _arrays(path, group, data):
            if name in arrays:
                raise InputError(f"{path.name!r} has the entry {name!r} twice")
            arrays[name] = value
    entries = _torchvision_entries(path, arrays)
    return Entries(path, entries, digest.hexdigest(), _NOTES)


def _model(path: Path, raw: bytes) -> Mapping[str, Any]:
    try:
        model = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path.name!r} is no whole JSON file ({error}); fetch it again"
        ) from error
    groups = model.get("weightsManifest") if isinstance(model, dict) else None
    if not isinstance(groups, list) or not groups or not all(map(_is_group, groups)):
        raise InputError(
            f"{path.name!r} has no 'weightsManifest' of groups with 'paths' and 'weights'; give a"
            " model.json"
        )
    checked: Mapping[str, Any] = model
    return checked


def _is_group(group: Any) -> bool:
    if not isinstance(group, dict):
        return False
    paths, weights = group.get("paths"), group.get("weights")
    return (
        isinstance(paths, list)
        and isinstance(weights, list)
        and all(isinstance(name, str) for name in paths)
        and all(isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in weights)
    )


def _check_eps(path: Path, model: Mapping[str, Any], norm_eps: float) -> None:
    for layer in _layers(model.get("modelTopology")):
        config = layer.get("config")
        if layer.get("class_name") not in _NORMS or not isinstance(config, dict):
            continue
        eps = config.get("epsilon")
        if isinstance(eps, float) and not math.isclose(eps, norm_eps, rel_tol=1e-6):
            raise InputError(
                f"the norms of {path.name!r} have epsilon {eps} and the backbone's {norm_eps}; "
                f"build it with resnet50_keras(norm_eps={eps})"
            )


def _layers(topology: Any) -> Iterator[dict[str, Any]]:
    for key in ("model_config", "config", "layers"):
        if key == "model_config" and isinstance(topology, dict) and key not in topology:
            continue
        topology = topology.get(key) if isinstance(topology, dict) else None
    yield from (layer for layer in topology or [] if isinstance(layer, dict))


def _shards(path: Path, group: Mapping[str, Any]) -> Iterator[bytes]:
    for name in group["paths"]:
        if PurePosixPath(name).name != name or "\\" in name or name in (".", ".."):
            raise InputError(
                f"{path.name!r} names the shard {name!r}; shards must stand beside it, under plain"
                " names"
            )
        yield read_bytes(path.with_name(name))


def _arrays(
    path: Path, group: Mapping[str, Any], data: bytes
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the entries of a group, which stand one after the other in its shards."""
    start = 0
    for entry in group["weights"]:
        name, shape = entry["name"], entry.get("shape")
        if entry.get("dtype") != "float32" or "quantization" in entry:
            raise InputError(
                f"the entry {name!r} of {path.name!r} is not plain float32; convert without"
                " quantisation"
            )
        if not isinstance(shape, list) or not all(
            type(side) is int and side >= 0 for side in shape
        ):
            raise InputError(f"the entry {name!r} of {path.name!r} has the shape {shape!r}")
        count = math.prod(shape)
        end = start + _FLOAT.itemsize * count
        if end > len(data):
            raise InputError(
                f"the shards of {path.name!r} end within {name!r}: {end} bytes are due up to there"
                f" and {len(data)} are there; fetch them again"
            )
        yield name, np.frombuffer(data, _FLOAT, count, start).reshape(shape).astype(np.float32)
        start = end
    if start != len(data):
        raise InputError(
            f"the shards of {path.name!r} have {len(data) - start} bytes too many; fetch them again"
        )


def _torchvision_entries(
    path: Path, arrays: Mapping[str, NDArray[np.float32]]
) -> dict[str, Tensor]:
    """Return the entries under torchvision's names, in its layout; others keep their names."""
    entries: dict[str, Tensor] = {}
    biases: dict[str, Tensor] = {}
    for name, array in arrays.items():
        layer, _, part = name.rpartition("/")
        value = torch.from_numpy(array.copy())
        own_name = torchvision_layer(layer)
        if own_name is None or (part not in _NORM and part not in ("kernel", "bias")):
            entries[name.replace("/", ".")] = value
        elif part == "kernel" and value.dim() == 4:
            kernel = value.permute(3, 2, 0, 1)
            if own_name == "conv1":
                # Keras's first kernel expects BGR.
                kernel = kernel.flip(1)
            entries[f"{own_name}.weight"] = kernel.contiguous()
        elif part == "bias":
            biases[_norm_behind(own_name)] = value
        else:
            entries[f"{own_name}.{_NORM.get(part, part)}"] = value
    for norm, bias in biases.items():
        mean = entries.get(f"{norm}.running_mean")
        if mean is None or mean.shape != bias.shape:
            raise InputError(
                f"{path.name!r} has a convolution's bias for {norm!r} and no running mean that"
                " fits it"
            )
        entries[f"{norm}.running_mean"] = mean - bias
    return entries


def torchvision_layer(layer: str) -> str | None:
    """Return the layer's name in torchvision; None for a layer that it has not.

    `res3b_branch2a` is layer2.1.conv1, `bn3a_branch1` is layer2.0.downsample.1.
    """
    match = _BRANCH.fullmatch(layer)
    if match is None:
        return {"conv1": "conv1", "bn_conv1": "bn1"}.get(layer)
    kind, stage, block, branch = match.groups()
    within = f"layer{int(stage) - 1}.{ord(block) - ord('a')}"
    if branch == "1":
        return f"{within}.downsample.{0 if kind == 'res' else 1}"
    return f"{within}.{'conv' if kind == 'res' else 'bn'}{_PART[branch]}"


def _norm_behind(conv: str) -> str:
    if conv.endswith("downsample.0"):
        return f"{conv[:-1]}1"
    head, _, last = conv.rpartition("conv")
    return f"{head}bn{last}"

"""Weight files as named tensors. Only data is read: no code of a file is ever run."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchcross._kit import tensor_files
from torchcross._kit.user_files import read_user_file
from torchcross._kit.zip_files import DAMAGED_ZIP
from torchcross.errors import InputError, ReadError

_TORCH = (".pth", ".pt", ".bin")
_SAFE = ".safetensors"
# How a pickle names `bytearray`, which torch's reader of weights calls with any number of bytes.
_ALLOCATION = b"\nbytearray\n"


@dataclass(frozen=True)
class Entries:
    """The named tensors of one file."""

    path: Path
    tensors: dict[str, Tensor]
    sha256: str
    notes: tuple[str, ...] = ()


def read_entries(path: Path, entry: str | None) -> Entries:
    """Read a .pth, .pt, .bin or .safetensors file.

    `entry` names the state dict inside a larger checkpoint.
    """
    kind = path.suffix.lower()
    if kind not in (*_TORCH, _SAFE):
        raise InputError(
            f"{path.name!r} is no weight file; give one of {', '.join((*_TORCH, _SAFE))}, or a"
            " TensorFlow.js model.json for resnet50_keras"
        )
    data = read_bytes(path)
    content = _safe_content(path, data) if kind == _SAFE else _torch_content(path, data)
    if entry is not None:
        content = _state_dict_at(path, content, entry)
    return Entries(path, _dense_tensors(path, content), hashlib.sha256(data).hexdigest())


def read_bytes(path: Path) -> bytes:
    try:
        data = read_user_file(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"the weight file {path} cannot be read ({reason}); give the path of a local file"
        ) from error
    if not data:
        raise InputError(f"the weight file {path} is empty; fetch it again")
    return data


def _torch_content(path: Path, data: bytes) -> Mapping[str, Any]:
    if data.startswith(b"PK"):
        _refuse_packed(path, data)
    if _ALLOCATION in data:
        raise InputError(
            f"{path.name!r} asks for a bytearray, which no tensor needs and which may take any"
            " amount of memory; save a plain state_dict()"
        )
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"{path.name!r} is damaged, cut off, or holds more than tensors"
            f" ({type(error).__name__}: {_short(error)}). Only plain state dicts are read, and code"
            " in a file is never run: fetch it again, or, if you trust it, load it where it was"
            " made and save its state_dict() alone"
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(
            f"{path.name!r} holds a {type(content).__name__}, not a state dict of names and tensors"
        )
    return content


def _refuse_packed(path: Path, data: bytes) -> None:
    """Refuse compressed members: torch never writes them, and they could claim any size."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (*DAMAGED_ZIP, ValueError, OSError) as error:
        raise InputError(
            f"{path.name!r} is damaged or cut off ({error}); fetch it again"
        ) from error
    packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
    if packed or sum(member.file_size for member in members) > len(data):
        raise InputError(
            f"{path.name!r} has packed members, which torch never writes; it is refused"
        )


def _safe_content(path: Path, data: bytes) -> Mapping[str, Any]:
    try:
        return tensor_files.parse(path, data)[0]
    except ReadError as error:
        raise InputError(str(error)) from error


def _state_dict_at(path: Path, content: Mapping[str, Any], entry: str) -> Mapping[str, Any]:
    inner = content.get(entry)
    if not isinstance(inner, Mapping):
        names = [name for name, value in content.items() if isinstance(value, Mapping)]
        raise InputError(
            f"{path.name!r} has no state dict at entry={entry!r}; it has some at"
            f" {names or 'no name'}"
        )
    return inner


def _dense_tensors(path: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    inner = [name for name, value in content.items() if isinstance(value, Mapping)]
    if inner:
        others = f" (or {', '.join(map(repr, inner[1:5]))})" if inner[1:] else ""
        raise InputError(
            f"{path.name!r} is a checkpoint with several parts; name the one with the weights:"
            f" entry={inner[0]!r}{others}"
        )
    wrong = [
        f"{name!r}, a {type(value).__name__}"
        for name, value in content.items()
        if not isinstance(name, str) or not isinstance(value, Tensor)
    ]
    if wrong:
        raise InputError(
            f"{path.name!r} has {len(wrong)} of {len(content)} entries that are no tensors under"
            f" names; the first is {wrong[0]}. Save a plain state_dict()"
        )
    return {name: _dense(path, name, value.detach()) for name, value in content.items()}


def _dense(path: Path, name: str, value: Tensor) -> Tensor:
    if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
        raise InputError(
            f"{path.name!r}: the entry {name!r} is sparse, quantised or without values"
            f" ({value.layout}, {value.device}); save plain dense tensors"
        )
    return value


def _short(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "")
    return line if len(line) <= 160 else f"{line[:157]}..."

"""The files of one training: `training.json` is written last, and has the hashes of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torchcross._kit import tensor_files
from torchcross.errors import DamageError, TorchcrossError
from torchcross.experiment.run.json_files import read_hashed_json, write_json
from torchcross.training.checkpoints import Checkpoints, step_of
from torchcross.training.log import read_hashed_log

SUMMARY, WEIGHTS, LOG = "training.json", "weights.safetensors", "log.csv"


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write what is known of a training that ended, with its name and the hashes of its files.

    A training that several targets share names the first of them, also when the run goes on.
    """
    earlier = read_summary(folder)
    own = {"training": folder.name, "files": _file_hashes(folder)}
    if any(earlier.get(name) != value for name, value in own.items()):
        target = earlier.get("target", summary["target"])
        write_json(folder / SUMMARY, {**summary, **own, "target": target})


def read_summary(folder: Path) -> dict[str, Any]:
    """What is known of a training; empty where it is not known, or damaged."""
    path = folder / SUMMARY
    try:
        return read_hashed_json(path)[0] if path.is_file() else {}
    except TorchcrossError:
        return {}


def is_whole_training(folder: Path) -> bool:
    """Whether a training ended here, and its files are those that it wrote.

    Of an earlier version, which wrote no hashes, the weights must be there.
    """
    summary = read_summary(folder)
    hashes = _hashes_in(summary)
    if not hashes:
        return bool(summary) and (folder / WEIGHTS).is_file()
    return all(
        (folder / name).is_file() and _hash_of(folder / name) == digest
        for name, digest in hashes.items()
    )


def training_files(folder: Path) -> Iterator[str]:
    """The names of the files, beside the summary, of a training that ended."""
    yield from _hashes_in(read_summary(folder)) or (WEIGHTS, LOG)


def _check_origin(path: Path) -> None:
    """Raise a DamageError where a file is whole, and is not that of its training."""
    summary = read_summary(path.parent)
    if path.name == SUMMARY:
        name = summary.get("training", path.parent.name)
        if name != path.parent.name:
            raise DamageError(f"it is of the training {name}")
        return
    expected = _hashes_in(summary).get(path.name)
    if expected is not None and _hash_of(path) != expected:
        raise DamageError(f"it is not the file that the training of this folder wrote ({SUMMARY})")


def reader_of_training_file(path: Path) -> Callable[[Path], bool] | None:
    """A function of the path that says whether the file has a hash; None for other files."""
    if path.parts[2:3] == ("tensorboard",):
        return lambda path: False
    if len(path.parts) != 3:
        return None
    if step_of(path) is not None:
        return _read_checkpoint
    return {SUMMARY: _read_summary, LOG: _read_log, WEIGHTS: _read_weights}.get(path.name)


def _read_checkpoint(path: Path) -> bool:
    step = step_of(path)
    assert step is not None, "only checkpoints are read here"
    _check_origin(path)
    Checkpoints(path.parent, keep=1).read(step)
    return tensor_files.HASH in tensor_files.read(path)[1]


def _read_summary(path: Path) -> bool:
    has_hash = read_hashed_json(path)[1]
    _check_origin(path)
    return has_hash


def _read_weights(path: Path) -> bool:
    _check_origin(path)
    return tensor_files.HASH in tensor_files.read(path)[1]


def _read_log(path: Path) -> bool:
    """A training that is not over has no hash in its log: its checkpoints have it."""
    _check_origin(path)
    has_hash = read_hashed_log(path)[1]
    return has_hash or not (path.parent / SUMMARY).is_file()


def _file_hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: _hash_of(path)
        for path in sorted(folder.iterdir())
        if path.name in (WEIGHTS, LOG) or step_of(path) is not None
    }


def _hashes_in(summary: Mapping[str, Any]) -> dict[str, str]:
    """By the names of files; empty where an earlier version wrote the summary."""
    hashes = summary.get("files")
    if not isinstance(hashes, dict):
        return {}
    return {name: value for name, value in hashes.items() if Path(name).name == name}


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Checkpoints: everything that a run needs to go on, in one file, whole or not at all."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from torchcross._kit import tensor_files
from torchcross._kit.content_hash import damage_error
from torchcross.errors import InputError, ReadError, WriteError
from torchcross.training.result import Point, Stopped

FORMAT, VERSION = "torchcross-checkpoint", 3
_WITHOUT_RANKS = 2
"""The last version whose position does not say how many ranks did the steps."""
_WITHOUT_HASHES = 1
"""The version whose files, and whose record of log.csv, have no content hash."""

_NAME = re.compile(r"checkpoint-(\d{8,})\.safetensors")
Tensors = dict[str, Tensor]


@dataclass(slots=True)
class Position:
    """Where a run is.

    waited                validations since the last one that was better enough
    loss_sum, loss_count  over the steps since the last point of the learning curve
    log_length            bytes of log.csv
    log_sha256            of these bytes; "" where no checkpoint of this version has seen them
    ranks                 how many ranks did the steps, in the order in which the number changed
    """

    step: int = 0
    best_step: int | None = None
    best_score: float | None = None
    waited: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    log_length: int = 0
    log_sha256: str = ""
    stopped: Stopped | None = None
    history: list[Point] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)

    def count_step(self, loss: float, ranks: int) -> None:
        if self.ranks[-1:] != [ranks]:
            self.ranks.append(ranks)
        self.step += 1
        self.loss_sum += loss
        self.loss_count += 1

    def add_point(self, score: float | None) -> None:
        """Add a point to the learning curve."""
        self.history.append(Point(self.step, self.loss_sum / self.loss_count, score))
        self.loss_sum, self.loss_count = 0.0, 0

    def judge(self, score: float, patience: int | None, min_delta: float) -> bool:
        """Return whether this score is the best so far; stop where patience has run out."""
        best = -math.inf if self.best_score is None else self.best_score
        # No comparison with NaN is true: an undefined score is never the best.
        better, enough = score > best, score > best + min_delta
        self.waited = 0 if enough else self.waited + 1
        if better:
            self.best_step, self.best_score = self.step, score
        if patience is not None and self.waited >= patience:
            self.stopped = "patience"
        return better

    def as_dict(self) -> dict[str, Any]:
        """Plain values. JSON has no NaN: an undefined score is the text "nan"."""
        points: list[list[Any]] = []
        for point in self.history:
            undefined = point.score is not None and math.isnan(point.score)
            points.append([point.step, point.loss, "nan" if undefined else point.score])
        return {**asdict(self), "history": points}

    @classmethod
    def from_dict(cls, values: Any) -> Position:
        """The reverse of `as_dict`. Other values raise a ValueError, TypeError or KeyError."""
        if set(values) != {each.name for each in fields(cls)}:
            raise ValueError("other fields than a position has")
        counts = [values[name] for name in ("step", "waited", "loss_count", "log_length")]
        counted = all(type(count) is int and count >= 0 for count in counts)
        best_step, best_score = values["best_step"], values["best_score"]
        no_best = best_step is None
        are_ranks = all(type(number) is int and number > 0 for number in values["ranks"])
        done = no_best or (type(best_step) is int and 0 < best_step <= values["step"])
        for is_fine, problem in (
            (counted, "a count that is not a whole number"),
            (are_ranks, "a number of ranks that is none"),
            (type(values["log_sha256"]) is str, "a hash of the log that is no text"),
            (values["stopped"] in (None, "steps", "patience"), "an unknown reason for stopping"),
            (no_best == (best_score is None), "a best step without its score"),
            (done, "a best step that was never done"),
        ):
            if not is_fine:
                raise ValueError(problem)
        if not no_best:
            best_score = float(best_score)
        history = []
        for step, loss, score in values["history"]:
            point_score = None if score is None else float(score)
            history.append(Point(int(step), float(loss), point_score))
        loss_sum = float(values["loss_sum"])
        return cls(**{**values, "history": history, "best_score": best_score, "loss_sum": loss_sum})


class Checkpoints:
    """The checkpoints of one folder. A run goes on from a checkpoint of its own `identity` only."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step:08d}.safetensors"

    def steps(self) -> list[int]:
        """The steps of the checkpoints in the folder, ascending."""
        steps = map(step_of, self.folder.iterdir())
        return sorted(step for step in steps if step is not None)

    def clean(self) -> None:
        """Remove half-written files of a killed process. Only for the owner of the lock."""
        for path in self.folder.glob("*.safetensors.*.part"):
            path.unlink(missing_ok=True)

    def refuse_foreign(self) -> None:
        """Refuse a folder without a checkpoint that has files a run would overwrite."""
        for name in ("log.csv", "weights.safetensors"):
            if (self.folder / name).exists():
                raise InputError(
                    f"{self.folder} has a {name} and no checkpoint, so its run is not known; give"
                    " another folder, or remove the file."
                )

    def save(self, tensors: Tensors, position: Position, identity: dict[str, Any]) -> None:
        """Write, then remove old ones; the best one stays, since the new one may name it."""
        record = {"version": VERSION, "identity": identity, "position": position.as_dict()}
        text = json.dumps(record, sort_keys=True, allow_nan=False)
        write_tensors(self.path(position.step), tensors, {FORMAT: text})
        self.remove_old(position)

    def remove_old(self, position: Position) -> None:
        """Remove all but the last `keep` and the best one; a kill may have left one more."""
        old = [step for step in self.steps()[: -self.keep] if step != position.best_step]
        for step in old:
            try:
                self.path(step).unlink(missing_ok=True)
            except OSError as error:
                raise WriteError(
                    f"{self.path(step)} cannot be removed ({error.strerror or error})."
                ) from error

    def read(self, step: int) -> tuple[Tensors, Position, dict[str, Any]]:
        """(tensors, position, identity) of a checkpoint, or a ReadError that names the file."""
        path = self.path(step)
        try:
            tensors, metadata = tensor_files.read(path)
        except ReadError as error:
            raise type(error)(f"{error} {self._advice(step)}") from error
        if FORMAT not in metadata:
            raise ReadError(
                f"{path} is a safetensors file and not a checkpoint of fit. {self._advice(step)}"
            )
        try:
            record = json.loads(metadata[FORMAT])
            version = record["version"]
            if version not in (VERSION, _WITHOUT_RANKS, _WITHOUT_HASHES):
                raise ReadError(
                    f"{path} is a checkpoint of format version {version!r}; this library reads"
                    f" versions up to {VERSION}."
                )
            if version != _WITHOUT_HASHES and tensor_files.HASH not in metadata:
                raise damage_error(path, self._advice(step), lost=True)
            if version == _WITHOUT_HASHES:
                record["position"]["log_sha256"] = ""
            if version != VERSION:
                known = record["identity"]["machine"].pop("ranks")
                record["position"]["ranks"] = [known] if record["position"]["step"] else []
            position = Position.from_dict(record["position"])
            identity = dict(record["identity"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ReadError(
                f"{path} has a record that cannot be used ({error}). {self._advice(step)}"
            ) from error
        if position.step != step:
            raise ReadError(
                f"{path} holds step {position.step}: it was renamed. {self._advice(step)}"
            )
        return tensors, position, identity

    def _advice(self, step: int) -> str:
        before = [other for other in self.steps() if other < step]
        if not before:
            return "Remove the folder to begin again."
        return f"Remove the file to go on from {self.path(before[-1]).name}."


def step_of(path: Path) -> int | None:
    """The step of a checkpoint, by the name of its file; None for other files."""
    match = _NAME.fullmatch(path.name)
    return None if match is None else int(match[1])


def write_tensors(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    """Write a file of tensors; an error also says how to go on."""
    try:
        tensor_files.write(path, tensors, metadata)
    except WriteError as error:
        raise WriteError(
            f"{error}, and run again: training goes on from the last checkpoint."
        ) from error

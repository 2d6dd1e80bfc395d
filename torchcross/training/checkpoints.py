"""Everything that a run needs to go on, in one file that is there whole or not at all."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from torchcross._kit import tensor_files
from torchcross.errors import InputError, ReadError, WriteError
from torchcross.training.result import Point, Stopped

__all__ = ["Checkpoints", "Position", "write_tensors"]

FORMAT, VERSION = "torchcross-checkpoint", 1
_NAME = re.compile(r"checkpoint-(\d{8,})\.safetensors")
Tensors = dict[str, Tensor]


@dataclass(slots=True)
class Position:
    """Where a run stands. `waited`: validations since the best; `loss_sum` and `loss_count` since
    the last point.
    """

    step: int = 0
    best_step: int | None = None
    best_score: float | None = None
    waited: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    log_length: int = 0
    stopped: Stopped | None = None
    history: list[Point] = field(default_factory=list)

    def reached(self, score: float | None) -> None:
        """A point of the learning curve."""
        self.history.append(Point(self.step, self.loss_sum / self.loss_count, score))
        self.loss_sum, self.loss_count = 0.0, 0

    def judge(self, score: float, patience: int | None, min_delta: float) -> bool:
        """Whether this score is the best so far. It may be one too many that is not better
        enough.
        """
        best = -math.inf if self.best_score is None else self.best_score
        # NaN is greater than nothing: a score that is undefined is never the best.
        better, enough = score > best, score > best + min_delta
        self.waited = 0 if enough else self.waited + 1
        if better:
            self.best_step, self.best_score = self.step, score
        if patience is not None and self.waited >= patience:
            self.stopped = "patience"
        return better

    def as_dict(self) -> dict[str, Any]:
        """Plain values. JSON has no NaN: a score that is undefined is the word."""
        points = [
            [
                point.step,
                point.loss,
                "nan" if point.score is not None and math.isnan(point.score) else point.score,
            ]
            for point in self.history
        ]
        return {**asdict(self), "history": points}

    @classmethod
    def from_dict(cls, values: Any) -> Position:
        """Raises a ValueError, TypeError or KeyError where it is none."""
        if set(values) != {each.name for each in fields(cls)}:
            raise ValueError("other fields than a position has")
        whole = [values[name] for name in ("step", "waited", "loss_count", "log_length")]
        if not all(type(value) is int and value >= 0 for value in whole) or values[
            "stopped"
        ] not in (*(None, "steps", "patience"),):
            raise ValueError("a count that is none")
        if (values["best_step"] is None) != (values["best_score"] is None):
            raise ValueError("a best step without its score")
        best_step = values["best_step"]
        if best_step is not None and not (
            type(best_step) is int and 0 < best_step <= values["step"]
        ):
            raise ValueError("a best step that was never done")
        history = [
            Point(int(step), float(loss), None if score is None else float(score))
            for step, loss, score in values["history"]
        ]
        best = None if values["best_score"] is None else float(values["best_score"])
        return cls(
            **{
                **values,
                "history": history,
                "best_score": best,
                "loss_sum": float(values["loss_sum"]),
            }
        )


class Checkpoints:
    """The checkpoints of one folder. A run's `identity` is what it must share with the one it goes
    on from.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step:08d}.safetensors"

    def steps(self) -> list[int]:
        """Of the checkpoints that are there, ascending."""
        found = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def clean(self) -> None:
        """Remove what a killed process was writing. Only for the owner of the folder's lock."""
        for path in self.folder.glob("*.safetensors.*.part"):
            path.unlink(missing_ok=True)

    def refuse_foreign(self) -> None:
        """A folder without a checkpoint must hold nothing that a run would overwrite."""
        for name in ("log.csv", "weights.safetensors"):
            if (self.folder / name).exists():
                raise InputError(
                    f"{self.folder} has a {name} and no checkpoint, so it is not known whose it is;"
                    " give another folder, or remove the file."
                )

    def save(self, tensors: Tensors, position: Position, identity: dict[str, Any]) -> None:
        """Write, then let go of the oldest: never of the best one, which the new one may name."""
        record = {"version": VERSION, "identity": identity, "position": position.as_dict()}
        text = json.dumps(record, sort_keys=True, allow_nan=False)
        write_tensors(self.path(position.step), tensors, {FORMAT: text})
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
            raise ReadError(f"{error} {self._instead(step)}") from error
        if FORMAT not in metadata:
            raise ReadError(
                f"{path} is a safetensors file and no checkpoint of fit. {self._instead(step)}"
            )
        try:
            record = json.loads(metadata[FORMAT])
            version = record["version"]
            if version != VERSION:
                raise ReadError(
                    f"{path} is a checkpoint of format version {version!r}; this library reads"
                    f" version {VERSION}."
                )
            position = Position.from_dict(record["position"])
            identity = dict(record["identity"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ReadError(
                f"{path} has a record that cannot be used ({error}). {self._instead(step)}"
            ) from error
        if position.step != step:
            raise ReadError(
                f"{path} holds step {position.step}: it was renamed. {self._instead(step)}"
            )
        return tensors, position, identity

    def _instead(self, step: int) -> str:
        before = [other for other in self.steps() if other < step]
        if not before:
            return "Remove the folder to begin anew."
        return f"Remove the file to go on from {self.path(before[-1]).name}."


def write_tensors(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    try:
        tensor_files.write(path, tensors, metadata)
    except WriteError as error:
        raise WriteError(f"{error}, and run again: it goes on from the last checkpoint.") from error

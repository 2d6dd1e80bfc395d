"""The same draws in another process, whose strings hash otherwise: started once, and kept."""

from __future__ import annotations

import atexit
import json
import os
import pickle  # noqa: TID251 - our own objects, between our own processes
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from torchcross.testing.other_process import answer_requests; answer_requests()"
)
_HEADER = 8
_LOCK = threading.Lock()
_HELPERS: dict[int, OtherProcess] = {}


class CannotLoadError(Exception):
    """Another process cannot load what was sent to it."""


@dataclass(frozen=True)
class OtherProcess:
    """A process with another id and another PYTHONHASHSEED that draws plans."""

    process: subprocess.Popen[bytes]
    requests: Any
    answers: Any

    @classmethod
    def start(cls) -> OtherProcess:
        own = os.environ.get("PYTHONHASHSEED")
        environment = os.environ | {"PYTHONHASHSEED": "2" if own == "1" else "1"}
        path = [str(Path(entry).resolve()) for entry in sys.path]
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, json.dumps(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        atexit.register(_end, process)
        return cls(process, process.stdin, process.stdout)

    def draw(self, pickled: bytes, numbers: Sequence[int], fields: Sequence[str]) -> list[Any]:
        """The plans with these numbers, as values of these fields."""
        try:
            _send(self.requests, (pickled, list(numbers), tuple(fields)))
            kind, answer = _receive(self.answers)
        except (EOFError, BrokenPipeError):
            raise AssertionError(
                f"drawing in another process ended that process (exit status {self.process.wait()})"
            ) from None
        if kind == "cannot load":
            raise CannotLoadError(answer)
        if kind == "failed":
            raise AssertionError(f"drawing in another process failed: {answer}")
        return [SimpleNamespace(**values) for values in answer]


def other_process() -> OtherProcess:
    """The other process of this one; it starts at the first call and ends with this process."""
    with _LOCK:
        helper = _HELPERS.get(os.getpid())
        if helper is None or helper.process.poll() is not None:
            helper = _HELPERS[os.getpid()] = OtherProcess.start()
        return helper


def draw_elsewhere(pickled: bytes, numbers: Sequence[int], fields: Sequence[str]) -> list[Any]:
    """The plans of a pickled sampler with these numbers, drawn in the other process."""
    helper = other_process()
    with _LOCK:
        return helper.draw(pickled, numbers, fields)


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


# -- in the other process --------------------------------------------------------------------------


def answer_requests() -> None:
    """Draw what is asked for on standard input until it ends."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # What a sampler prints must not come between the answers.
    os.dup2(2, 1)
    while True:
        try:
            pickled, numbers, fields = _receive(requests)
        except EOFError:
            return
        _send(answers, _answer(pickled, numbers, fields))


def _answer(pickled: bytes, numbers: Sequence[int], fields: Sequence[str]) -> tuple[str, Any]:
    try:
        sampler = pickle.loads(pickled)  # noqa: S301
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        return "cannot load", f"{type(error).__name__}: {error}"
    try:
        plans = [sampler[number] for number in numbers]
        values = [
            {field: np.asarray(getattr(plan, field, None)) for field in fields} for plan in plans
        ]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        return "failed", f"{type(error).__name__}: {error}"
    return "plans", values


def _send(pipe: Any, value: Any) -> None:
    data = pickle.dumps(value)
    pipe.write(len(data).to_bytes(_HEADER, "little") + data)
    pipe.flush()


def _receive(pipe: Any) -> Any:
    header = pipe.read(_HEADER)
    if len(header) < _HEADER:
        raise EOFError
    return pickle.loads(pipe.read(int.from_bytes(header, "little")))  # noqa: S301

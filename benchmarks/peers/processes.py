"""Run scripts in another interpreter and take arrays back; time several interpreters' work in
turn.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from benchmarks.peers.child import Arrays, read_arrays, write_arrays
from benchmarks.peers.environment import PeerError, ensure

_CHILD = Path(__file__).with_name("child.py")


def run(script: str | Path, *args: object, timeout: float = 900.0, **arrays: ArrayLike) -> Arrays:
    """Call `main(inputs, *args)` of a script in the peers' environment; returns the arrays that it
    returns.

    `inputs` is the dict of `arrays`, and `args` arrive as strings. What crosses is an .npz without
    pickles, so `main` returns a mapping of names to arrays, numbers or strings.
    """
    return call(ensure(), script, *args, timeout=timeout, arrays=arrays)


def call(
    python: str | Path,
    script: str | Path,
    *args: object,
    path: str | Path = "",
    timeout: float = 900.0,
    arrays: Mapping[str, ArrayLike] | None = None,
) -> Arrays:
    """`run` in any interpreter; `path` is put in front of its `sys.path`."""
    with tempfile.TemporaryDirectory() as scratch:
        inputs, outputs = Path(scratch, "inputs.npz"), Path(scratch, "outputs.npz")
        write_arrays(inputs, arrays or {})
        command = _command(python, "call", script, inputs, outputs, path, args)
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=timeout,
                text=True,
                errors="replace",
            )
        except subprocess.TimeoutExpired as error:
            raise PeerError(
                f"{script} was stopped after {timeout:g} s. Give it less to do or a larger timeout."
            ) from error
        if done.returncode != 0:
            raise PeerError(_failure(script, done.returncode, done.stderr))
        return read_arrays(outputs)


class Measurement(NamedTuple):
    seconds: float
    cpu: float
    last: list[list[Any]]


class Worker:
    """A process that lives as long as the benchmark and times one contestant of its script at a
    time.

    The script's `contestants(inputs, *args)` returns functions by name; each does its work `count`
    times and returns the parts of its last result, by which the benchmark checks that the work was
    done.
    """

    def __init__(
        self,
        python: str | Path,
        script: str | Path,
        *args: object,
        path: str | Path = "",
        arrays: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self._script = script
        self._scratch = tempfile.TemporaryDirectory()
        inputs = Path(self._scratch.name, "inputs.npz")
        write_arrays(inputs, arrays or {})
        self._stderr = Path(self._scratch.name, "stderr")
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                _command(python, "serve", script, inputs, inputs, path, args),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.names: list[str] = json.loads(self._reply())

    def measure(self, name: str, count: int) -> Measurement:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"name": name, "count": count}) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._reply())
        return Measurement(reply["seconds"], reply["cpu"], reply["last"])

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        self._scratch.cleanup()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _reply(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = _failure(
                self._script, self._process.wait(), self._stderr.read_text(errors="replace")
            )
            self.close()
            raise PeerError(message)
        return line


def _command(
    python: str | Path,
    mode: str,
    script: str | Path,
    inputs: Path,
    outputs: Path,
    path: str | Path,
    args: tuple[object, ...],
) -> list[str]:
    # -I keeps this repository, the user's site and PYTHON* variables out of the other interpreter.
    plain = [_CHILD, mode, Path(script).resolve(), inputs, outputs, path, *args]
    return [str(python), "-I", *map(str, plain)]


def _failure(script: str | Path, status: int, stderr: str) -> str:
    return f"{script} failed with exit status {status}. Its stderr ends with:\n{stderr[-4000:]}"

"""The peers' environment is built once, never half, and hands arrays over without pickles."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import PeerError, Worker, ensure, environment
from benchmarks.peers.child import Arrays, read_arrays, write_arrays

Run = Callable[..., Arrays]


def build(environment: Path) -> None:
    """What a build leaves behind, and a note of every build."""
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").touch()
    with (environment.parent / "builds").open("a") as notes:
        notes.write("built\n")


def builds(home: Path) -> int:
    return len((home / "builds").read_text().splitlines())


def test_a_second_call_builds_nothing(tmp_path: Path) -> None:
    first, second = ensure(tmp_path, build), ensure(tmp_path, build)
    assert first == second
    assert first.exists()
    assert builds(tmp_path) == 1


def test_changed_pins_build_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(tmp_path, build)
    (tmp_path / "venv" / "left over").touch()
    pins = tmp_path / "constraints.txt"
    pins.write_text("other==1.0\n")
    monkeypatch.setattr(environment, "CONSTRAINTS", pins)
    ensure(tmp_path, build)
    assert builds(tmp_path) == 2
    assert not (tmp_path / "venv" / "left over").exists()


def test_an_interrupted_build_is_never_taken_for_a_finished_one(tmp_path: Path) -> None:
    def interrupted(environment: Path) -> None:
        build(environment)
        raise KeyboardInterrupt

    ensure(tmp_path, build).unlink()
    with pytest.raises(KeyboardInterrupt):
        ensure(tmp_path, interrupted)
    ensure(tmp_path, build)
    assert builds(tmp_path) == 3


def test_a_lost_interpreter_is_built_again(tmp_path: Path) -> None:
    ensure(tmp_path, build).unlink()
    assert ensure(tmp_path, build).exists()


def test_only_one_builds_at_a_time(tmp_path: Path) -> None:
    def slow(environment: Path) -> None:
        time.sleep(0.2)
        build(environment)

    callers = [threading.Thread(target=ensure, args=(tmp_path, slow)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert builds(tmp_path) == 1


def test_arrays_cross_unchanged_and_objects_do_not(tmp_path: Path) -> None:
    arrays = {"file": np.arange(3.0), "scalar": np.int64(7), "empty": np.zeros((0, 2), np.uint8)}
    write_arrays(tmp_path / "a.npz", arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays(tmp_path / "b.npz", {"x": [object()]})


def script(folder: Path, body: str) -> Path:
    path = folder / "script.py"
    path.write_text(body)
    return path


@pytest.mark.slow
def test_a_script_sees_the_peers_and_not_this_repository(in_peers: Run, tmp_path: Path) -> None:
    body = """
import importlib.metadata, importlib.util, torch
import torchcross.models, higher, learn2learn, torchopt, medimeta
def main(inputs, by):
    x = torch.tensor(inputs["x"], requires_grad=True)
    (g,) = torch.autograd.grad((x ** int(by)).sum(), x)
    alien = importlib.util.find_spec("benchmarks") is not None
    return {"g": g.numpy(), "version": importlib.metadata.version("torchcross"), "alien": alien}
"""
    found = in_peers(script(tmp_path, body), 3, x=np.array([1.0, 2.0]))
    np.testing.assert_array_equal(found["g"], [3.0, 12.0])
    assert found["version"] == "0.0.6"
    assert not found["alien"]


@pytest.mark.slow
def test_a_failure_shows_what_the_script_said(in_peers: Run, tmp_path: Path) -> None:
    failing = script(tmp_path, "def main(inputs):\n    raise RuntimeError('the peer is unwell')\n")
    with pytest.raises(PeerError, match=r"(?s)script\.py failed .* the peer is unwell"):
        in_peers(failing)
    endless = script(tmp_path, "def main(inputs):\n    while True: pass\n")
    with pytest.raises(PeerError, match="stopped after 3 s"):
        in_peers(endless, timeout=3)


def test_a_worker_times_in_turn_and_names_its_end(tmp_path: Path) -> None:
    body = """
import os, sys, time
def contestants(inputs, step):
    print("this goes to stderr", flush=True)
    def sleep(count):
        time.sleep(count * float(step))
        return inputs["x"], [count]
    def die(count):
        print("no more", file=sys.stderr, flush=True)
        os._exit(3)
    return {"sleep": sleep, "die": die}
"""
    with Worker(sys.executable, script(tmp_path, body), 0.01, arrays={"x": np.arange(2)}) as worker:
        assert worker.names == ["sleep", "die"]
        found = worker.measure("sleep", 3)
        assert found.seconds >= 0.03
        assert found.last == [[0, 1], [3]]
        with pytest.raises(PeerError, match=r"(?s)exit status 3.*this goes to stderr.*no more"):
            worker.measure("die", 1)

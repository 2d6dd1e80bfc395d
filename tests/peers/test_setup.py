"""The peers' environment is built once, never half, and hands arrays over without pickles."""

from __future__ import annotations

import io
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import PeerError, Worker, ensure, environment
from benchmarks.peers.child import read_arrays, write_arrays
from tests.peers.scripts import written_script


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
    with Worker(
        sys.executable, written_script(tmp_path, body), 0.01, arrays={"x": np.arange(2)}
    ) as worker:
        assert worker.names == ["sleep", "die"]
        found = worker.measure("sleep", 3)
        assert found.seconds >= 0.03
        assert found.last == [[0, 1], [3]]
        with pytest.raises(PeerError, match=r"(?s)exit status 3.*this goes to stderr.*no more"):
            worker.measure("die", 1)


def archive_of(folder: Path, *members: tarfile.TarInfo) -> Path:
    path = folder / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"text"[: member.size]))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = 4 if kind == tarfile.REGTYPE else 0
    return member


@pytest.fixture(params=[True, False], ids=["filters", "no filters"])
def _filters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python before 3.11.4 has no filters of archives."""
    if not request.param:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    elif not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has none")


@pytest.mark.usefixtures("_filters")
def test_an_archive_is_unpacked(tmp_path: Path) -> None:
    folder, links = entry("p", tarfile.DIRTYPE), (tarfile.SYMTYPE, tarfile.LNKTYPE)
    names = [entry("p/same", links[0], "./setup.py"), entry("p/also", links[1], "p/setup.py")]
    environment.unpack(archive_of(tmp_path, folder, entry("p/setup.py"), *names), tmp_path / "to")
    for name in ("setup.py", "same", "also"):
        assert (tmp_path / "to" / "p" / name).read_text() == "text"


@pytest.mark.usefixtures("_filters")
@pytest.mark.parametrize(
    "member",
    [
        entry("../out"),
        entry("p/../../out"),
        entry("p/out", tarfile.SYMTYPE, "../../out"),
        entry("p/out", tarfile.SYMTYPE, "/etc/passwd"),
        entry("p/out", tarfile.LNKTYPE, "../out"),
        entry("p/out", tarfile.CHRTYPE),
    ],
    ids=lambda member: f"{member.name} {member.type.decode()} {member.linkname}",
)
def test_what_leaves_the_folder_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    archive = archive_of(tmp_path, entry("p/setup.py"), member)
    with pytest.raises((PeerError, tarfile.TarError)):
        environment.unpack(archive, tmp_path / "to")
    assert not (tmp_path / "out").exists()


def test_an_absolute_name_is_refused_where_there_are_no_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    archive = archive_of(tmp_path, entry(str(tmp_path / "out")))
    with pytest.raises(PeerError, match="no file or folder inside its own tree"):
        environment.unpack(archive, tmp_path / "to")
    assert not (tmp_path / "to").exists()

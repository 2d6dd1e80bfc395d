"""The way of a call is short: few frames of the library stand above each other."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import torchcross
from benchmarks.depth import depth_within, depths

# Frames of the library in the deepest stack of a call. The numbers only go down.
DEEPEST = {
    "meta_loss": 19,
    "meta_loss, four steps": 23,
    "backward": 2,
    "adapt": 19,
    "sampler[i]": 11,
    "Episodes[i]": 12,
}


@pytest.mark.long
def test_calls_are_not_deep() -> None:
    measured = depths(Path(str(torchcross.__file__)).parent)
    assert set(measured) == set(DEEPEST)
    for name, depth in measured.items():
        assert 0 < len(depth.stack) <= DEEPEST[name], "\n".join([name, *depth.stack])


def test_frames_and_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a_deep_package"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from a_deep_package.inner import inner, raises\n"
        "def outer(depth):\n    return outer(depth - 1) if depth else inner(len)\n"
        "def shallow():\n    try:\n        raises()\n"
        "    except ValueError:\n        return inner(len)\n"
    )
    (folder / "inner.py").write_text(
        "def inner(f):\n    return f([])\ndef raises():\n    raise ValueError\n"
    )
    (folder / "other.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    package = importlib.import_module("a_deep_package")
    profile_before = sys.getprofile()

    with depth_within(folder) as deep:
        package.outer(3)
    assert deep.stack == [*["outer  __init__.py:3"] * 4, "inner  inner.py:1"]
    assert deep.files == {"__init__.py", "inner.py"}

    with depth_within(folder) as shallow:
        package.shallow()
        package.inner(lambda _: package.inner(len))
    assert len(shallow.stack) == 2

    with depth_within(folder) as nothing:
        len([])
    assert (nothing.stack, nothing.files) == ([], set())
    assert sys.getprofile() is profile_before

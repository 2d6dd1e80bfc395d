"""What a killed process left beside a file, and what a living one is writing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchcross._kit.whole_files import remove_abandoned


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot ask whether a process runs")
def test_only_unfinished_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = tmp_path / f"a.png.{ended.pid}.part"
    kept = [
        tmp_path / name
        for name in (
            "a.png",
            f"a.png.{os.getpid()}.part",
            f"b.png.{ended.pid}.part",
            "a.png.x.part",
        )
    ]
    for path in (dead, *kept):
        path.write_bytes(b"")
    remove_abandoned(tmp_path / "a.png")
    assert sorted(tmp_path.iterdir()) == sorted(kept)

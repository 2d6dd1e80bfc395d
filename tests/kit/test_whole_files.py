"""What a killed process left beside a file, and what a living one is writing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchcross._kit.whole_files import (
    UNFINISHED_NAME,
    open_whole,
    remove_abandoned,
    unfinished_place,
    write_whole,
)
from torchcross.errors import WriteError


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot ask whether a process runs")
def test_only_unfinished_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ours = UNFINISHED_NAME.fullmatch(unfinished_place(tmp_path / "a.png").name)["machine"]
    dead = tmp_path / f"a.png.{ended.pid}-{ours}-12ab.part"
    kept = [
        tmp_path / name
        for name in (
            "a.png",
            f"a.png.{os.getpid()}-{ours}-12ab.part",
            f"b.png.{ended.pid}-{ours}-12ab.part",
            # Of another machine on a shared folder, where the process may run.
            f"a.png.{ended.pid}-0123abcd-12ab.part",
            # Of earlier versions, which do not say the machine.
            f"a.png.{ended.pid}.part",
            f"a.png.{ended.pid}-0123456789ab.part",
            "a.png.x.part",
        )
    ]
    for path in (dead, *kept):
        path.write_bytes(b"")
    remove_abandoned(tmp_path / "a.png")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_processes_with_the_same_number_write_the_same_file(tmp_path: Path, monkeypatch) -> None:
    """Two machines that share a folder, both in process 1, in the middle of the same file."""
    names = []

    def write_the_other(descriptor: int) -> None:
        monkeypatch.undo()
        names.extend(path.name for path in tmp_path.iterdir())
        write_whole(tmp_path / "a", "whole")

    monkeypatch.setattr(os, "fsync", write_the_other)
    write_whole(tmp_path / "a", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert UNFINISHED_NAME.fullmatch(names[0])["process"] == str(os.getpid())


def test_a_file_in_place_of_the_folder_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("notes")
    path = tmp_path / "results" / "rows.csv"
    with pytest.raises(WriteError, match=r"rows\.csv cannot be written"), open_whole(path) as file:
        file.write(b"1")
    assert (tmp_path / "results").read_text() == "notes"

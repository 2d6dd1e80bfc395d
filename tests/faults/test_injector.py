"""The faults of the injector: each does what it says, in a process of its own."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")

ROOT = Path(__file__).parents[2]

CHILD = """
import json, os, sys
from pathlib import Path
from tests.faults.injector import Injector, install

folder, number, kind = sys.argv[1:]
injector = Injector(folder + "/", int(number) if number else None, kind)
install(injector)
errors = []
for text in ("first", "second"):
    try:
        with (Path(folder) / text).open("w") as file:
            file.write("0123456789")
            file.flush()
        (Path(folder) / text).rename(Path(folder) / f"{text}.done")
    except OSError as error:
        errors.append(error.errno)
print(json.dumps([injector.operations, errors]))
"""


def disturbed(folder: Path, number: int | None, kind: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD, str(folder), "" if number is None else str(number)]
    return subprocess.run([*command, kind], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_operations_are_counted_in_their_order(tmp_path: Path) -> None:
    operations, errors = json.loads(disturbed(tmp_path, None, "fail").stdout)
    once = [["create", "first"], ["write", "first"], ["rename", "first"]]
    assert operations == [*once, *([kind, "second"] for kind, _ in once)]
    assert errors == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "errors", "left"),
    [
        # Closing the file writes once more what could not be written.
        ("fail", [errno.EIO], {"first": 10, "second.done": 10}),
        ("full", [errno.ENOSPC, errno.ENOSPC], {"first": 0}),
        ("kill", None, {"first": 0}),
        ("tear", None, {"first": 5}),
    ],
)
def test_a_write_goes_wrong(
    tmp_path: Path, kind: str, errors: list[int] | None, left: dict[str, int]
) -> None:
    done = disturbed(tmp_path, 1, kind)
    if errors is None:
        assert done.returncode == -signal.SIGKILL
    else:
        assert json.loads(done.stdout)[1] == errors
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == left


def test_every_operation_has_its_faults() -> None:
    from tests.faults.injector import kinds_of

    assert kinds_of("read") == ("fail",)
    assert kinds_of("write") == kinds_of("hdf5") == ("fail", "full", "kill", "tear")
    assert "tear" not in kinds_of("rename")
    assert os.name == "posix"


LISTING = """
import json, os, sys
from pathlib import Path
from tests.faults.injector import Injector, install

folder = Path(sys.argv[1])
injector = Injector(f"{folder}/out/", sources=f"{folder}/in/")
install(injector)
with (folder / "out" / "log").open("ab") as file:
    file.truncate(0)
names = list((folder / "out").iterdir())
(folder / "in" / "image").read_bytes()
(folder / "in" / "elsewhere").exists()
print(json.dumps(injector.operations))
"""


@pytest.mark.slow
def test_listings_shortened_files_and_reads_of_sources_are_counted(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "image").write_bytes(b"1")
    command = [sys.executable, "-c", LISTING, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    kinds = [operation for operation, _ in json.loads(done.stdout)]
    assert kinds == ["create", "shorten", "read", "read"]

"""A disk that is full while HDF5 writes its header is an error of the library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

CHILD = """
import resource, sys
from pathlib import Path
from medimeta_adapter.writing.writer import DatasetWriter
from tests.medimeta.writing.toy_dataset import draft, fill
from torchcross.errors import WriteError

folder = Path(sys.argv[1])
plain = __import__("medimeta_adapter.writing.pixel_file", fromlist=["h5py"]).h5py.File

class Full(plain):
    def __init__(self, name, mode):
        if mode == "w":
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        super().__init__(name, mode)

import h5py
h5py.File = Full
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in (0, 10, 96, 500, 800, 1500, 2047):
    try:
        with DatasetWriter(folder / str(limit) / "toy", draft(), total=1000) as writer:
            raise SystemExit(f"{limit}: it was written")
    except WriteError as error:
        assert "the disk is full (File too large)" in str(error), error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert not list((folder / str(limit)).iterdir())
h5py.File = plain
with DatasetWriter(folder / "toy", draft()) as writer:
    fill(writer, 3)
"""


@pytest.mark.long
def test_a_full_disk_while_the_header_is_written(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "toy/info.yaml").is_file()

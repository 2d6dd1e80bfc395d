"""HDF5 files on file systems without locks, and files that another program has locked."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from medimeta_adapter.format.hdf5 import inspect_images, open_hdf5
from medimeta_adapter.writing.pixel_file import PixelFile, create_pixel_file
from torchcross.errors import DatasetFileError


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images.hdf5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((2, 4, 4), dtype=np.uint8)
    return path


def test_a_file_system_without_locks_is_no_damage(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = h5py.File

    def without_locks(path: Path, mode: str, **options: Any) -> Any:
        if options.get("locking") is not False:
            raise OSError(
                errno.ENOLCK,
                "Unable to synchronously open file (unable to lock file, errno = 37, error message"
                " = 'No locks available')",
            )
        return plain(path, mode, **options)

    monkeypatch.setattr(h5py, "File", without_locks)
    assert inspect_images(images).shape == (2, 4, 4)
    with open_hdf5(images, "r") as file:
        assert file["images"].shape == (2, 4, 4)
    create_pixel_file(tmp_path / "new.hdf5", (2, 4, 4))
    pixels = PixelFile(tmp_path / "new.hdf5")
    assert pixels.image_shape == (4, 4)
    pixels.close()


def test_a_file_that_another_program_writes_is_not_called_damaged(images: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    descriptor = os.open(images, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(DatasetFileError, match=r"images\.hdf5: another program has it open"):
            inspect_images(images)
    finally:
        os.close(descriptor)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_hdf5(tmp_path / "none.hdf5", "r")

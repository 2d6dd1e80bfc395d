"""The folder of a dataset appears whole or not at all; what stood there before stays until then."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medimeta_adapter.format.info import read_info
from medimeta_adapter.writing.pixel_file import PixelFile
from medimeta_adapter.writing.writer import DatasetWriter
from tests.medimeta.writing.toy_dataset import draft, fill, further_columns, image, labels, tree
from torchcross.errors import WriteError

pytestmark = pytest.mark.usefixtures("unsynced")


@pytest.mark.parametrize("end", [ValueError("no"), KeyboardInterrupt()])
def test_an_exception_leaves_nothing_behind(tmp_path: Path, end: BaseException) -> None:
    with (  # noqa: PT012
        pytest.raises(type(end)),
        DatasetWriter(tmp_path / "toy", draft()) as writer,
    ):
        fill(writer, 3)
        raise end
    assert not list(tmp_path.iterdir())
    with pytest.raises(WriteError, match="not open"):
        writer.add(image(0), labels(0), split="train")


def test_an_existing_folder_is_refused_before_any_work_and_replaced_on_request(
    tmp_path: Path,
) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        fill(writer, 3)
    before = tree(tmp_path / "toy")
    with pytest.raises(WriteError, match=r"exists; choose another folder, or overwrite=True"):
        DatasetWriter(tmp_path / "toy", draft()).__enter__()
    with (  # noqa: PT012
        pytest.raises(RuntimeError),
        DatasetWriter(tmp_path / "toy", draft(), overwrite=True) as writer,
    ):
        fill(writer, 2)
        raise RuntimeError
    assert tree(tmp_path / "toy") == before
    with DatasetWriter(tmp_path / "toy", draft(), overwrite=True) as writer:
        fill(writer, 5)
    assert read_info(tmp_path / "toy/info.yaml").total_num_samples == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy"]


def test_two_writers_of_one_folder_do_not_meet(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        fill(writer, 2)
        for resume in (True, False):
            with pytest.raises(WriteError, match="is being written by another writer"):
                DatasetWriter(tmp_path / "toy", draft(), resume=resume).__enter__()
        fill(writer, 4)
    assert read_info(tmp_path / "toy/info.yaml").total_num_samples == 4


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    told_of = r"toy cannot be written: the disk is full"
    with (  # noqa: PT012
        pytest.raises(WriteError, match="could not be written"),
        DatasetWriter(tmp_path / "toy", draft()) as writer,
    ):
        fill(writer, 2)
        with monkeypatch.context() as patch:
            patch.setattr(PixelFile, "write", full)
            with pytest.raises(WriteError, match=told_of):
                fill(writer, 3)
        with pytest.raises(WriteError, match="none can follow"):
            writer.add(image(3), labels(3), **further_columns(3))
    assert not list(tmp_path.iterdir())
    with (  # noqa: PT012
        pytest.raises(WriteError, match=told_of),
        DatasetWriter(tmp_path / "toy", draft()) as writer,
    ):
        fill(writer, 2)
        monkeypatch.setattr(np, "save", full)
    assert not list(tmp_path.iterdir())


def test_a_dataset_that_cannot_fit_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10**6))
    DatasetWriter(tmp_path / "toy", draft(), total=5000).__enter__().__exit__(
        ValueError, None, None
    )
    with pytest.raises(WriteError, match=r"1,000,000 bytes free and the dataset takes 1,440,000"):
        DatasetWriter(tmp_path / "toy", draft(), total=10_000).__enter__()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        DatasetWriter(tmp_path / "file/toy", draft()).__enter__()

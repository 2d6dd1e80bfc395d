"""A folder of datasets: found by their info.yaml, each id once, nothing else opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medimeta_adapter import MedIMeta, MedIMetaDataset, TaskRef
from tests.medimeta.make import BINARY, LABELS, MULTI, edit_info, write_dataset
from torchcross.errors import DatasetFileError, InputError


def test_what_is_there(tmp_path: Path) -> None:
    write_dataset(tmp_path, "oct", tasks=[MULTI, BINARY], domain="OCT")
    write_dataset(tmp_path, "cxr", tasks=[LABELS], domain="Chest X-ray")
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("hello")
    write_dataset(tmp_path, "unfinished", folder=".unfinished.partial")
    meta = MedIMeta(tmp_path)
    assert list(meta) == ["cxr", "oct"]
    assert len(meta) == 2
    assert "oct" in meta
    assert list(meta.datasets) == ["cxr", "oct"]
    assert meta.domains == ("Chest X-ray", "OCT")
    assert meta.tasks == (
        TaskRef("cxr", "disease labels", "Chest X-ray"),
        TaskRef("oct", "disease class", "OCT"),
        TaskRef("oct", "malignancy", "OCT"),
    )
    assert meta["oct"].info.input_size == (1, 6, 5)
    assert repr(meta).endswith("2 datasets, 3 tasks, 2 domains)")
    with pytest.raises(InputError, match="did you mean 'oct'"):
        meta["OCT2oct"[:4].lower()]


def test_only_info_is_read_at_opening(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    for path in folder.iterdir():
        if path.is_file() and path.name != "info.yaml":
            path.write_bytes(b"broken")
    meta = MedIMeta(tmp_path)
    with pytest.raises(DatasetFileError, match="not an HDF5 file"):
        meta.source("toy")


def test_a_subset_by_id(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_dataset(tmp_path, name, folder=f"folder of {name}" if name == "c" else None)
    edit_info(tmp_path / "b", tasks=3)
    with pytest.raises(DatasetFileError, match="tasks"):
        MedIMeta(tmp_path)
    assert list(MedIMeta(tmp_path, only=["a"])) == ["a"]
    edit_info(tmp_path / "b", tasks=[BINARY])
    assert list(MedIMeta(tmp_path, only=["c", "a"])) == ["a", "c"]
    assert list(MedIMeta(tmp_path, only=["a", "a"])) == ["a"]
    assert list(MedIMeta(tmp_path, only=iter(["c", "b", "c"]))) == ["b", "c"]
    with pytest.raises(
        InputError, match=r"only=\[\] names no dataset; give the ids wanted, or leave it out"
    ):
        MedIMeta(tmp_path, only=[])
    with pytest.raises(InputError, match="no dataset 'd'"):
        MedIMeta(tmp_path, only=["d"])
    with pytest.raises(InputError, match="give a list"):
        MedIMeta(tmp_path, only="a")


def test_two_folders_with_one_id(tmp_path: Path) -> None:
    write_dataset(tmp_path, "toy", folder="one")
    write_dataset(tmp_path, "toy", folder="two")
    with pytest.raises(DatasetFileError, match=r"one and .*two both have id: toy"):
        MedIMeta(tmp_path)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        MedIMeta(tmp_path / "none")
    with pytest.raises(InputError, match="holds no dataset"):
        MedIMeta(tmp_path)
    folder = write_dataset(tmp_path)
    with pytest.raises(InputError, match="is a dataset itself"):
        MedIMeta(folder)
    with pytest.raises(InputError, match="is no folder"):
        MedIMetaDataset(folder / "info.yaml")


def test_relative_paths_keep_their_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    meta = MedIMeta("data")
    monkeypatch.chdir("/")
    assert meta.source("toy").read([0]).shape == (1, 1, 6, 5)


def test_the_package_is_imported_lightly() -> None:
    code = "import sys, medimeta_adapter; assert not {'torch', 'h5py', 'numpy'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert done.returncode == 0, done.stderr

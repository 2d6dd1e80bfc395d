"""What a run records of its data: a description for people, and fingerprints for comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.format.dataset import MedIMetaDataset
from tests.medimeta.leave_out.small_collection import collection
from tests.medimeta.make import edit_info, write_annotations, write_dataset, write_split
from torchcross.experiment.run.provenance import contradictions
from torchcross.experiment.settings.plain import as_plain

FINGERPRINT = "fingerprint of description, labels, splits and subjects"


def described(root: Path) -> dict[str, Any]:
    found: Any = collection(root).describe()["datasets"]
    return dict(found)


def test_the_description_is_for_people(root: Path) -> None:
    edit_info(root / "a", synthetic=True, license="CC BY 4.0")
    told = described(root)["a"]
    assert len(told.pop(FINGERPRINT)) == 64
    assert told.pop("pixels")["images"] == 12
    assert told == {
        "name": "The a images",
        "domain": "domain of a",
        "images": 12,
        "licence": "CC BY 4.0",
        "synthetic": True,
    }
    assert collection(root).describe()["synthetic"] == "1 of 4 datasets are made up"


def _relabel(folder: Path) -> None:
    path = folder / "task_labels" / "malignancy.npy"
    np.save(path, 1 - np.load(path))


def _resplit(folder: Path) -> None:
    write_split(folder / "splits", "train", [*range(9), 10])
    write_split(folder / "splits", "val", [9])


def _redescribe(folder: Path) -> None:
    edit_info(folder, summary="another")


def _regroup(folder: Path) -> None:
    write_annotations(folder, {"patient_id": ["one", "two"] * 6})


@pytest.mark.parametrize("change", [_relabel, _resplit, _redescribe, _regroup])
def test_the_fingerprint_sees_what_decides_an_episode(root: Path, change: Any) -> None:
    before = described(root)
    assert described(root) == before
    change(root / "a")
    after = described(root)
    assert after["a"][FINGERPRINT] != before["a"][FINGERPRINT]
    assert {name: after[name] for name in "bcd"} == {name: before[name] for name in "bcd"}


def test_subjects_that_only_run_together_differ(tmp_path: Path) -> None:
    write_dataset(tmp_path, "a", patients=["1", "12"] * 6)
    write_dataset(tmp_path, "b")
    before = collection(tmp_path).describe()
    write_annotations(tmp_path / "a", {"patient_id": ["11", "2"] * 6})
    assert collection(tmp_path).describe() != before


def test_images_that_changed_are_other_data(root: Path) -> None:
    before = as_plain(collection(root).describe())
    with h5py.File(root / "a" / "images.hdf5", "r+") as file:
        file["images"][7] ^= 1
    now = as_plain(collection(root).describe())
    assert list(contradictions(before, now)) == ["datasets.a.pixels.fingerprint"]


@pytest.mark.parametrize("layout", ["compressed", "tiff"])
def test_the_same_images_in_another_file_are_the_same_data(root: Path, layout: str) -> None:
    before = collection(root).describe()
    path = root / "a" / "images.hdf5"
    with h5py.File(path) as file:
        images = np.asarray(file["images"])
    path.unlink()
    if layout == "tiff":
        path.with_name("images").mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image.squeeze()).save(root / "a" / "images" / f"{number:06d}.tiff")
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "images", data=images, chunks=(1, *images.shape[1:]), compression="gzip"
            )
    assert collection(root).describe() == before


def test_no_more_than_some_images_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    plain = MedIMetaDataset.images

    def images(dataset: MedIMetaDataset, indices: Any, **more: Any) -> Any:
        asked.append(list(indices))
        return plain(dataset, indices, **more)

    monkeypatch.setattr(MedIMetaDataset, "images", images)
    monkeypatch.setattr("medimeta_adapter.leave_out.collection._FINGERPRINTED", 5)
    collection(root).describe()
    assert asked == [[0, 2, 4, 7, 9]] * 4


def test_images_that_are_gone_contradict_nothing(root: Path) -> None:
    before = as_plain(collection(root).describe())
    (root / "a" / "images.hdf5").unlink()
    now = as_plain(collection(root).describe())
    assert "no images" in now["datasets"]["a"]["pixels"]["unreadable"]
    assert now["datasets"]["a"][FINGERPRINT] == before["datasets"]["a"][FINGERPRINT]
    assert not list(contradictions(before, now))


def _without_labels(folder: Path) -> None:
    (folder / "task_labels" / "malignancy.npy").unlink()


def _without_split(folder: Path) -> None:
    (folder / "splits" / "val.txt").unlink()


def _with_strange_annotations(folder: Path) -> None:
    (folder / "annotations.csv").write_text("filepath,patient_id\nimages/000000.tiff,1\n")


@pytest.mark.parametrize("harm", [_without_labels, _without_split, _with_strange_annotations])
def test_what_cannot_be_read_is_told_and_contradicts_nothing(root: Path, harm: Any) -> None:
    before = collection(root).describe()
    harm(root / "a")
    now = collection(root).describe()
    assert list(described(root)["a"]) == ["unreadable"]
    assert str(root / "a") in described(root)["a"]["unreadable"]
    assert described(root)["b"] == before["datasets"]["b"]  # type: ignore[index]
    assert not list(contradictions(as_plain(before), as_plain(now)))
    assert collection(root).sources("a/malignancy", split="train", tasks="all")

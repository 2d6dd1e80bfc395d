"""Split files and annotations: what they name is in the folder, once, and agrees with info.yaml."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medimeta_adapter import MedIMetaDataset
from medimeta_adapter.format.annotations import read_annotations
from medimeta_adapter.format.splits import read_split
from tests.medimeta.make import edit_info, write_annotations, write_dataset, write_split
from torchcross.errors import DatasetFileError, InputError


def lines(folder: Path, content: bytes) -> Path:
    path = folder / "train.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"images/000003.tiff\nimages/000001.tiff",
        b"images/000003.tiff\nimages/000001.tiff\n",
        b"\xef\xbb\xbfimages/000003.tiff\r\n\r\n  images/000001.tiff \r\n\n",
        b"./images/000003.tiff\nimages\\000001.tiff\n",
        b"images/3.tif\nimages/00000001.tiff\n",
    ],
)
def test_rows_come_ascending(tmp_path: Path, content: bytes) -> None:
    np.testing.assert_array_equal(read_split(lines(tmp_path, content), 4), [1, 3])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"../../etc/passwd", "leaves the folder"),
        (b"/etc/passwd", "leaves the folder"),
        (b"images/../../000001.tiff", "leaves the folder"),
        (b"C:\\images\\000001.tiff", "leaves the folder"),
        (b"~/000001.tiff", "leaves the folder"),
        (b"images/000001.png", "is no image"),
        (b"images/-00001.tiff", "is no image"),
        (b"images/sub/000001.tiff", "is no image"),
        (b"images/\x00000001.tiff", "is no image"),
        (b"images/\xff.tiff", "is no image"),
        ("images/００１.tiff".encode(), "is no image"),
        (b"000001", "is no image"),
        (b"images/000009.tiff", "is beyond the 4 images"),
        (b"images/99999999999999999999.tiff", "is no image"),
        (b"images/000002.tiff", "is in line 1 already"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = lines(tmp_path, b"images/000002.tiff\n\n" + line + b"\n")
    with pytest.raises(DatasetFileError, match=rf"train\.txt, line 3: .*{message}"):
        read_split(path, 4)


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileError, match="a split of at most 4 lines has at most 4,352"):
        read_split(lines(tmp_path, b"\n" * 5000), 4)


def test_splits_of_a_dataset(tmp_path: Path) -> None:
    dataset = MedIMetaDataset(write_dataset(tmp_path, splits={"train": [5, 1, 3], "test": [0, 11]}))
    np.testing.assert_array_equal(dataset.split("train"), [1, 3, 5])
    np.testing.assert_array_equal(dataset.split("val"), [])
    np.testing.assert_array_equal(dataset.split(("test", "train")), [0, 1, 3, 5, 11])
    for everything in (None, "all", ["all"]):
        np.testing.assert_array_equal(dataset.split(everything), np.arange(12))
    np.testing.assert_array_equal(dataset.split("train", original=True), np.arange(12))
    for wrong in ("dev", (), ("train", "train"), ("train", "dev")):
        with pytest.raises(InputError, match="give 'train', 'val', 'test'"):
            dataset.split(wrong)


def test_a_missing_file_is_an_empty_split_only_where_info_says_so(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    (folder / "splits" / "val.txt").unlink()
    with pytest.raises(
        DatasetFileError, match=r"val\.txt is missing; info\.yaml says splits_num_samples\.val: 1"
    ):
        MedIMetaDataset(folder).split("val")
    edit_info(folder, splits_num_samples={"train": 10, "val": 0, "test": 1})
    assert len(MedIMetaDataset(folder).split("val")) == 0
    write_split(folder / "splits", "val", [10])
    with pytest.raises(
        DatasetFileError, match=r"names 1 images; info\.yaml says splits_num_samples\.val: 0"
    ):
        MedIMetaDataset(folder).split("val")


def test_splits_that_share_an_image_do_not_join(tmp_path: Path) -> None:
    dataset = MedIMetaDataset(write_dataset(tmp_path, splits={"train": [1, 2], "test": [2, 3]}))
    with pytest.raises(DatasetFileError, match="image 000002 and 0 more are in two of the splits"):
        dataset.split(("train", "test"))


# -- annotations -----------------------------------------------------------------------------------


def test_columns_come_in_the_images_order(tmp_path: Path) -> None:
    path = tmp_path / "annotations.csv"
    text = (
        'filepath,tasks/a b,note\nimages/000001.tiff,"[0, 1]","x\ny"\nimages/000000.tiff,"[1,'
        ' 0]",é\n'
    )
    path.write_text(text, encoding="utf-8")
    found = read_annotations(path, 2)
    assert list(found) == ["filepath", "tasks/a b", "note"]
    assert found["tasks/a b"].tolist() == ["[1, 0]", "[0, 1]"]
    assert found["note"].tolist() == ["é", "x\ny"]


def test_subjects(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, count=6, patients=["p1", "", "p1", "NaN", " p2", ""])
    dataset = MedIMetaDataset(folder)
    subjects = dataset.subjects()
    assert subjects is not None
    assert subjects[[0, 2, 4]].tolist() == ["p1", "p1", "p2"]
    assert len(set(subjects.tolist())) == 5, "whoever is not named is somebody of their own"
    assert dataset.subjects("nobody") is None
    assert MedIMetaDataset(write_dataset(tmp_path, "other")).subjects() is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column 'filepath'"),
        ("file,a\n", "line 1: no column 'filepath'"),
        ("filepath,a,a\n", "line 1: the columns .'a'. are here twice"),
        ("filepath,a\nimages/000000.tiff\n", "line 2: 1 fields, the header has 2"),
        (
            "filepath,a\nimages/000000.tiff,1\nimages/000002.tiff,1\n",
            "line 3, filepath: .* none of the 2 images",
        ),
        (
            "filepath,a\nimages/000000.tiff,1\n../x.tiff,1\n",
            "line 3, filepath: .* none of the 2 images",
        ),
        (
            "filepath,a\nimages/000000.tiff,1\nimages/000000.tiff,1\n",
            "line 3, filepath: a second row",
        ),
        ("filepath,a\nimages/000000.tiff,1\n", r"no row for 1 of the 2 images .*000001\.tiff"),
        ('filepath,a\nimages/000000.tiff,"1\n', "not valid CSV"),
        ("filepath,a\nimages/000000.tiff," + "x" * 200_000, "not valid CSV"),
        ("filepath,a\n" + "x" * 2_000_000, "a table of 2 rows has at most"),
    ],
)
def test_tables_that_do_not_fit_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "annotations.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetFileError, match=message) as caught:
        read_annotations(path, 2)
    assert str(caught.value).startswith(str(path))
    path.write_bytes(b"filepath\n\xff\n")
    with pytest.raises(DatasetFileError, match="line 2: not UTF-8"):
        read_annotations(path, 2)


def test_annotations_are_read_when_asked_for(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    (folder / "annotations.csv").write_text("broken")
    dataset = MedIMetaDataset(folder)
    assert len(dataset.source(groups=None)) == 12
    with pytest.raises(DatasetFileError, match="no column 'filepath'"):
        dataset.annotations()
    write_annotations(folder, {"age": range(12)})
    assert dataset.annotations()["age"][11] == "11"

"""torchvision-style datasets, and Hugging Face datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from medimeta_adapter.convert import Converted, dataset, hugging_face
from tests.medimeta.convert_cases import ABOUT, DEEP, SMALL, Written, picture, split_counts
from torchcross.errors import InputError, LabelError, ReadError


class Shapes:
    """Items (image, label), like a dataset of torchvision."""

    classes: tuple[str, ...] = ("disc", "star")

    def __init__(self, count: int = 20, image: Any = picture, bad: int = -1) -> None:
        self._count, self._image, self._bad = count, image, bad
        self.reads = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> tuple[Any, int]:
        self.reads += 1
        if place == self._bad:
            raise OSError("gone")
        return self._image(place), place % 2


class Labelled(Shapes):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.targets = torch.arange(20) % 2


def convert(tmp_path: Path, source: Any, **more: Any) -> Converted:
    return dataset(source, tmp_path, ABOUT, options=SMALL, **more)


@pytest.mark.parametrize(
    "image",
    [
        picture,
        lambda n: np.full((12, 12), n, np.uint8),
        lambda n: torch.full((1, 12, 12), n, dtype=torch.uint8),
        lambda n: torch.full((1, 12, 12), n / 255),
    ],
    ids=["pil", "array", "uint8 tensor", "float tensor"],
)
def test_all_kinds_of_images(tmp_path: Path, image: Any) -> None:
    written = Written(convert(tmp_path, Shapes(image=image)))
    assert written.numbers() == list(range(20))
    assert written.names("class") == {0: "disc", 1: "star"}
    assert written.labels("class") == [0, 1] * 10


def test_colours_come_channels_last(tmp_path: Path) -> None:
    written = Written(
        convert(
            tmp_path,
            Shapes(image=lambda n: torch.tensor([n, 50, 60]).byte()[:, None, None].expand(3, 9, 9)),
        )
    )
    assert written.images[5, 0, 0].tolist() == [5, 50, 60]


def test_a_subset_has_the_names_of_the_whole(tmp_path: Path) -> None:
    part = torch.utils.data.Subset(torch.utils.data.Subset(Shapes(), range(12)), range(10))
    assert Written(convert(tmp_path, part)).names("class") == {0: "disc", 1: "star"}


def test_labels_that_are_there_are_not_read_for(tmp_path: Path) -> None:
    source = Labelled()
    convert(tmp_path, source)
    assert source.reads <= 20 + 20  # a look at the first ones, and each once
    given = Shapes()
    convert(tmp_path / "given", given, values=[0, 1] * 10, labels=["a", "b"])
    assert given.reads <= 20 + 20


def test_a_dataset_per_split(tmp_path: Path) -> None:
    written = Written(convert(tmp_path, {"train": Shapes(20), "val": Shapes(4), "test": Shapes(6)}))
    assert split_counts(written.splits()) == {"train": 20, "val": 4, "test": 6}
    assert written.numbers()[20:24] == [0, 1, 2, 3]
    assert written.column("original_filepath")[20] == "val[0]"


class Fruits(Shapes):
    """Its labels are those that another list of classes numbers."""

    def __init__(self, *classes: str) -> None:
        super().__init__(10)
        self.classes = classes


def test_parts_of_other_classes_are_refused(tmp_path: Path) -> None:
    parts = {"train": Fruits("apple", "fig", "pear"), "test": Fruits("apple", "pear")}
    said = "the classes of 'train' are apple, fig, pear, those of 'test' are apple, pear, so that"
    with pytest.raises(InputError, match=said):
        convert(tmp_path, parts)
    with pytest.raises(InputError, match=said):
        convert(tmp_path, parts, labels=["apple", "fig", "pear"])
    own = {"values": [0, 1] * 10, "labels": ["apple", "pear"]}
    assert Written(convert(tmp_path, parts, **own)).labels("class") == [0, 1] * 10


class Renumbered(Labelled):
    def target_transform(self, label: int) -> int:
        return 1 - label

    def __getitem__(self, place: int) -> tuple[Any, int]:
        image, label = super().__getitem__(place)
        return image, self.target_transform(label)


def test_a_transform_of_labels_counts(tmp_path: Path) -> None:
    assert Written(convert(tmp_path, Renumbered())).labels("class") == [1, 0] * 10


def test_an_item_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"1 of 20 images of Labelled.*\n *\[7\]: OSError: gone"):
        convert(tmp_path, Labelled(bad=7))
    with pytest.raises(ReadError, match="item 7 of Shapes cannot be read for its label: gone"):
        convert(tmp_path, Shapes(bad=7))


def test_normalised_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="remove normalisation"):
        convert(tmp_path, Shapes(image=lambda n: torch.full((1, 12, 12), -1.0)))


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="map-style"):
        convert(tmp_path, iter([]))
    with pytest.raises(InputError, match="no rows"):
        convert(tmp_path, {}, values=[], labels=["a", "b"])


FEATURES = datasets.Features(
    {
        "photo": datasets.Image(),
        "shape": datasets.ClassLabel(names=["disc", "star"]),
        "marks": datasets.Sequence(datasets.ClassLabel(names=["x", "y", "z"])),
        "grade": datasets.ClassLabel(names=["none", "some", "much"]),
        "who": datasets.Value("string"),
    }
)


def held(count: int, first: int = 0) -> datasets.Dataset:
    rows = range(first, first + count)
    columns = {
        "photo": [picture(n) for n in rows],
        "shape": [n % 2 for n in rows],
        "marks": [[m for m in range(3) if n % (m + 2) == 0] for n in rows],
        "grade": [n % 3 for n in rows],
        "who": [f"p{n // 2}" for n in rows],
    }
    return datasets.Dataset.from_dict(columns, features=FEATURES)


def take(tmp_path: Path, source: Any, **more: Any) -> Written:
    return Written(hugging_face(source, tmp_path, ABOUT, options=SMALL, **more))


def test_hugging_face_features(tmp_path: Path) -> None:
    written = take(tmp_path, held(20))
    assert written.numbers() == list(range(20))
    assert [entry["task_name"] for entry in written.info["tasks"]] == ["shape", "grade", "marks"]
    assert written.names("shape") == {0: "disc", 1: "star"}
    assert written.labels("marks")[:4] == [[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_hugging_face_kinds_and_subjects(tmp_path: Path) -> None:
    written = take(tmp_path, held(20), tasks={"grade": "ordinal", "shape": "binary"}, subject="who")
    assert [written.target(task) for task in ("grade", "shape")] == [
        "ORDINAL_REGRESSION",
        "BINARY_CLASSIFICATION",
    ]
    assert written.column("patient_id")[:3] == ["p0", "p0", "p1"]


def test_a_kind_of_one_hugging_face_column_leaves_the_others(tmp_path: Path) -> None:
    written = take(tmp_path, held(20), tasks={"marks": "", "shape": "", "grade": "ordinal"})
    assert [written.target(task) for task in ("marks", "shape", "grade")] == [
        "MULTILABEL_CLASSIFICATION",
        "MULTICLASS_CLASSIFICATION",
        "ORDINAL_REGRESSION",
    ]


def test_hugging_face_columns_of_numbers_and_texts(tmp_path: Path) -> None:
    numbered = held(20).add_column("severity", [n % 3 * 4 for n in range(20)])
    written = take(tmp_path, numbered, tasks={"severity": "ordinal", "who": "multiclass"})
    assert written.labels("severity")[:3] == [0, 4, 8]
    assert written.names("who")[9] == "p9"


def test_a_hugging_face_row_without_an_image(tmp_path: Path) -> None:
    source = held(6).map(
        lambda row, n: {"photo": None if n == 2 else row["photo"]}, with_indices=True
    )
    with pytest.raises(ReadError, match=r"\[2\]: InputError: there is no image; leave the row out"):
        take(tmp_path, source, tasks=["shape"])


def test_hugging_face_files_are_decoded_here(tmp_path: Path) -> None:
    rows = held(6).cast_column("photo", datasets.Image(decode=False))
    photos = [
        {"bytes": DEEP["rgb"], "path": None} if n == 4 else row["photo"]
        for n, row in enumerate(rows)
    ]
    source = (
        rows.remove_columns("photo")
        .add_column("photo", photos)
        .cast_column("photo", datasets.Image())
    )
    with pytest.raises(ReadError, match=r"\[4\]: InputError: it has more than 8 bits per channel"):
        take(tmp_path, source, tasks=["shape"])
    asked = held(6).cast_column("photo", datasets.Image(mode="RGB"))
    assert take(tmp_path, asked, tasks=["shape"]).images.shape == (6, 8, 8, 3)


def test_hugging_face_splits(tmp_path: Path) -> None:
    source = datasets.DatasetDict(
        {"train": held(20), "validation": held(4, 20), "test": held(6, 24)}
    )
    written = take(tmp_path, source, tasks=["shape"])
    assert split_counts(written.splits()) == {"train": 20, "val": 4, "test": 6}
    assert written.numbers() == list(range(30))


def test_a_transform_of_the_dataset_is_left_out(tmp_path: Path) -> None:
    source = held(20).with_transform(lambda batch: {"photo": ["no image"] * len(batch["photo"])})
    assert take(tmp_path, source).numbers() == list(range(20))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tasks": ["shapes"]}, "did you mean 'shape'"),
        ({"tasks": {"marks": "ordinal"}}, "multilabel by its feature"),
        ({"tasks": {"shape": "multilabel"}}, "multiclass by its feature"),
        ({"image": "who"}, "no column with the feature Image"),
        ({"subject": "whom"}, "no column 'whom'"),
    ],
)
def test_wrong_columns(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        take(tmp_path, held(6), **more)


def test_unlabelled_rows_and_other_objects(tmp_path: Path) -> None:
    source = held(6).map(
        lambda row, n: {"shape": None if n == 2 else row["shape"]}, with_indices=True
    )
    with pytest.raises(LabelError, match="'shape' has rows without a label"):
        take(tmp_path, source, tasks=["shape"])
    with pytest.raises(InputError, match="use dataset\\(\\)"):
        take(tmp_path, [1, 2])
    with pytest.raises(InputError, match="class_encode_column"):
        take(tmp_path, held(6).select_columns(["photo", "who"]))


def test_hugging_face_labels_of_texts_have_an_order(tmp_path: Path) -> None:
    columns = {"image": [picture(n) for n in range(20)], "grade": ["low", "high"] * 10}
    features = {"image": datasets.Image(), "grade": datasets.Value("string")}
    source = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    tasks = {"grade": "ordinal"}
    with pytest.raises(InputError, match=r"order is unknown; .* \(--labels"):
        hugging_face(source, tmp_path / "out", ABOUT, tasks=tasks, options=SMALL)
    written = Written(
        hugging_face(
            source,
            tmp_path / "out",
            ABOUT,
            tasks=tasks,
            labels={"grade": {1: "low", 5: "high"}},
            options=SMALL,
        )
    )
    assert written.labels("grade")[:2] == [1, 5]
    with pytest.raises(InputError, match=r"labels of 'grades' belong to no task; .*'grade'"):
        hugging_face(
            source, tmp_path / "x", ABOUT, tasks=tasks, labels={"grades": ["a"]}, options=SMALL
        )
    classes = datasets.Features(features | {"grade": datasets.ClassLabel(names=["high", "low"])})
    with pytest.raises(InputError, match="'grade' has names of its labels"):
        hugging_face(
            source.cast(classes), tmp_path / "x", ABOUT, labels={"grade": ["a", "b"]}, options=SMALL
        )

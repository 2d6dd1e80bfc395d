"""The targets of a folder of datasets: their names, their samples, their annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medimeta_adapter.leave_out.collection import MedIMetaCollection
from tests.medimeta.leave_out.small_collection import collection, named
from tests.medimeta.make import BINARY, MULTI, write_annotations, write_dataset
from torchcross.errors import InputError, SourceError
from torchcross.experiment.data_formats import open_collection

HOSTILE = ("a b", "c..", "né", "-x", "sémantique: 7", "$HOME", "lock", "con.")


# -- annotations -----------------------------------------------------------------------------------


def test_annotations_are_of_the_images_of_the_target(root: Path) -> None:
    sexes = ["F", "M"] * 6
    columns: dict[str, Any] = {"patient_id": range(12), "sex": sexes}
    write_annotations(root / "b", columns)
    made = collection(root)
    assert made.annotation("b/malignancy", "sex").tolist() == sexes
    assert made.annotation("b/malignancy", "patient_id", split="test").tolist() == ["10", "11"]
    assert len(made.target("b/malignancy", split="test")) == 2
    with pytest.raises(InputError, match=r"annotations\.csv has no column 'sexe'$"):
        made.annotation("b/malignancy", "sexe")
    with pytest.raises(InputError, match="has no column 'sex'"):
        made.annotation("d/Field definition", "sex")


# -- targets ---------------------------------------------------------------------------------------


def test_the_entry_point_opens_this_collection(root: Path) -> None:
    made = open_collection("medimeta", root, channels=1)
    assert isinstance(made, MedIMetaCollection)
    assert made.channels == 1


def test_targets_are_primary_tasks_in_order(root: Path) -> None:
    assert collection(root).targets() == (
        "a/disease class",
        "b/malignancy",
        "c/disease labels",
        "d/Field definition",
    )


def test_who_leaves_no_source_behind_is_no_target(tmp_path: Path) -> None:
    for name, others in {"x": ["y", "z"], "y": ["x"], "z": ["x"]}.items():
        write_dataset(tmp_path, name, domain_overlaps=others)
    assert collection(tmp_path).targets() == ("y/disease class", "z/disease class")


def test_names_are_made_full(root: Path) -> None:
    made = collection(root)
    assert made.target_name("c") == "c/disease labels"
    assert made.target_name("c/Field definition") == "c/Field definition"
    for name in made.targets():
        assert made.target_name(name) == name


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("", "no dataset ''"),
        ("A", "no dataset 'A'"),
        ("a/", "dataset 'a' has no task ''"),
        ("/disease class", "no dataset ''"),
        ("a/disease", "no task 'disease'; did you mean 'disease class'"),
        ("a/disease class/more", "no task 'disease class/more'"),
        ("../a", r"no dataset '\.\.'"),
        (" a", "no dataset ' a'"),
    ],
)
def test_names_of_nothing_are_refused(root: Path, given: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        collection(root).target_name(given)


@pytest.mark.parametrize("given", ["a", "", "a/", "a/nonsense", "e/disease class", "disease class"])
def test_targets_of_nothing_are_refused_by_everything(root: Path, given: str) -> None:
    made = collection(root)
    with pytest.raises(InputError, match=r"no target|no task"):
        made.target(given)
    with pytest.raises(InputError, match=r"no target|no task"):
        made.sources(given, split="train", tasks="all")
    with pytest.raises(InputError, match=r"no target|no task"):
        made.why(given)


def test_an_unknown_target_is_guessed_among_all(root: Path) -> None:
    write_dataset(root, "zebrafish", tasks=[BINARY])
    with pytest.raises(InputError, match="did you mean 'zebrafish/malignancy'"):
        collection(root).target("zebrafsh/malignancy")


def test_names_that_look_like_something_else(tmp_path: Path) -> None:
    for name in HOSTILE:
        write_dataset(tmp_path, name, tasks=[BINARY | {"task_name": f"{name} or not: 1"}])
    made = collection(tmp_path)
    assert sorted(made.targets()) == sorted(f"{name}/{name} or not: 1" for name in HOSTILE)
    for target in made.targets():
        dataset = target.partition("/")[0]
        assert made.target_name(dataset) == target
        assert made.target(target).name == target
        assert target not in named(made.sources(target, split="train", tasks="all"))
        assert len(made.sources(target, split="train", tasks="all")) == len(HOSTILE) - 1


# -- the target's source ---------------------------------------------------------------------------


def test_a_target_is_all_splits_or_one(root: Path) -> None:
    made = collection(root)
    rows = {
        split: made.target("c/disease class", split=split).rows.tolist()
        for split in ("train", "val", "test")
    }
    assert rows == {"train": list(range(10)), "val": [10], "test": [11]}
    assert made.target("c/disease class").rows.tolist() == list(range(12))
    with pytest.raises(SourceError, match="the split 'val' of 'b' is empty"):
        made.target("b/malignancy", split="val")


def test_a_target_is_the_task_named(root: Path) -> None:
    made = collection(root)
    source = made.target("c/disease class")
    assert (source.name, source.task.name) == ("c/disease class", "c/disease class")
    assert source.task.domain == "domain of c"
    assert source.task.classes == tuple(MULTI["labels"].values())
    np.testing.assert_array_equal(source.labels, np.arange(12) % 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_reach_targets_and_sources(root: Path, channels: int) -> None:
    made = collection(root, channels)
    for target in made.targets():
        assert made.target(target).read([0]).shape[1] == channels
        for source in made.sources(target, split="train", tasks="all"):
            assert source.read([0]).shape[1] == channels

"""What may be learned from for a target, and which targets share subjects."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from medimeta_adapter.leave_out.collection import MedIMetaCollection
from tests.medimeta.leave_out.small_collection import collection, named
from tests.medimeta.make import BINARY, edit_info, write_dataset
from torchcross.errors import DatasetFileError
from torchcross.experiment.data_formats import open_collection

LEAVE_OUT: tuple[Literal["dataset", "domain"], ...] = ("dataset", "domain")


# -- what may be learned from ----------------------------------------------------------------------


def test_what_overlaps_is_no_source(root: Path) -> None:
    made = collection(root)

    def datasets(target: str) -> list[str]:
        return [
            source.dataset_id for source in made.sources(target, split="train", tasks="primary")
        ]

    assert datasets("a/disease class") == ["c", "d"]
    assert datasets("b/malignancy") == ["c", "d"]
    assert datasets("c/disease labels") == ["a", "b"]
    assert datasets("d/Field definition") == ["a", "b"]


def test_a_domain_may_be_left_out_whole(tmp_path: Path) -> None:
    for name, domain in (("a", "skin"), ("b", "skin"), ("c", "eye")):
        edit_info(write_dataset(tmp_path, name), domain=domain)
    by_dataset, by_domain = (
        open_collection("medimeta", tmp_path, channels=1, leave_out=by) for by in LEAVE_OUT
    )
    target = "a/disease class"
    assert named(by_dataset.sources(target, split="train", tasks="primary")) == [
        "b/disease class",
        "c/disease class",
    ]
    assert named(by_domain.sources(target, split="train", tasks="primary")) == ["c/disease class"]
    assert by_domain.why(target)["b"] == "left out: its domain is 'skin' too"
    (caution,) = by_dataset.cautions(target)
    assert caution.startswith("b is of the domain 'skin' too, and learned from")
    assert by_domain.cautions(target) == by_dataset.cautions("c/disease class") == ()


def test_a_domain_that_is_all_there_is_has_no_targets(tmp_path: Path) -> None:
    for name in "ab":
        edit_info(write_dataset(tmp_path, name), domain="skin")
    assert [
        len(MedIMetaCollection(tmp_path, channels=1, leave_out=by).targets()) for by in LEAVE_OUT
    ] == [2, 0]


@pytest.mark.parametrize("kind", ["domain_overlaps", "subject_overlaps"])
def test_an_overlap_that_one_side_lists_binds_both(tmp_path: Path, kind: str) -> None:
    write_dataset(tmp_path, "p", **{kind: ["q"]})
    for name in ("q", "r"):
        write_dataset(tmp_path, name)
    made = collection(tmp_path)
    for target in ("p", "q"):
        assert named(made.sources(made.target_name(target), split="train", tasks="primary")) == [
            "r/disease class"
        ]


def test_one_task_of_each_dataset_or_all(root: Path) -> None:
    made = collection(root)
    target = "a/disease class"
    assert named(made.sources(target, split="train", tasks="primary")) == [
        "c/disease labels",
        "d/Field definition",
    ]
    assert named(made.sources(target, split="train", tasks="all")) == [
        "c/disease labels",
        "c/disease class",
        "c/Field definition",
        "d/Field definition",
    ]


def test_another_task_of_the_target_is_no_source(root: Path) -> None:
    made = collection(root)
    assert made.sources("a/malignancy", split="train", tasks="all")
    for source in made.sources("a/malignancy", split="train", tasks="all"):
        assert source.dataset_id not in ("a", "b")


def test_sources_are_of_the_split_asked_for_and_only_where_it_has_samples(root: Path) -> None:
    made = collection(root)
    train = made.sources("d/Field definition", split="train", tasks="primary")
    val = made.sources("d/Field definition", split="val", tasks="primary")
    assert [(source.dataset_id, source.rows.tolist()) for source in train] == [
        ("a", list(range(10))),
        ("b", list(range(10))),
    ]
    assert [(source.dataset_id, source.rows.tolist()) for source in val] == [("a", [10])]


def test_sources_are_given_with_the_target_gone(root: Path) -> None:
    (root / "a" / "images.hdf5").unlink()
    (root / "a" / "task_labels" / "disease class.npy").unlink()
    made = collection(root)
    assert len(made.sources("a/disease class", split="train", tasks="all")) == 4
    with pytest.raises(DatasetFileError, match="no images"):
        made.target("a/disease class")


def test_every_dataset_has_its_reason(root: Path) -> None:
    found = collection(root).why("a/malignancy")
    assert set(found) == {"a", "b", "c", "d"}
    assert found["a"] == "target"
    assert found["b"].startswith("left out: shares its domain with 'a'")
    assert found["c"].startswith("source: ")


# -- what is not independent -----------------------------------------------------------------------


def test_tasks_on_the_same_subjects_are_related(root: Path) -> None:
    found = collection(root).related_targets()
    assert set(found) == {
        frozenset({"a/disease class", "a/malignancy"}),
        frozenset(
            {"c/disease labels", "c/disease class", "c/Field definition", "d/Field definition"}
        ),
    }, (
        "two tasks of `a` are of the same images; `b` has one task and shares none; domains make"
        " nobody related"
    )


@pytest.mark.parametrize(
    "lists",
    [
        {"k": ["l"], "l": ["m"]},
        {"m": ["l"], "l": ["k"]},
        {"k": ["m"], "l": ["m"]},
        {"m": ["k", "l", "elsewhere"]},
    ],
)
def test_relations_pass_on_whoever_lists_whom(tmp_path: Path, lists: dict[str, list[str]]) -> None:
    for name in "klmn":
        write_dataset(tmp_path, name, tasks=[BINARY], subject_overlaps=lists.get(name, []))
    assert collection(tmp_path).related_targets() == (
        frozenset({"k/malignancy", "l/malignancy", "m/malignancy"}),
    )


def test_datasets_that_share_with_one_that_is_missing_are_not_joined_by_it(tmp_path: Path) -> None:
    for name in "kl":
        write_dataset(tmp_path, name, tasks=[BINARY], subject_overlaps=["elsewhere"])
    assert collection(tmp_path).related_targets() == ()

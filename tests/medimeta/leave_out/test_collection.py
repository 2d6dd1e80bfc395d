"""A folder as experiments see it: targets, their sources, and what a run records of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.leave_out.collection import MedIMetaCollection
from tests.medimeta.make import (
    BINARY,
    LABELS,
    MULTI,
    ORDINAL,
    edit_info,
    write_annotations,
    write_dataset,
    write_split,
)
from torchcross.errors import DatasetFileError, InputError, SourceError
from torchcross.experiment.data_formats import open_collection
from torchcross.experiment.run.provenance import contradictions
from torchcross.experiment.settings.plain import as_plain

LEAVE_OUT: tuple[Literal["dataset", "domain"], ...] = ("dataset", "domain")
HOSTILE = ("a b", "c..", "né", "-x", "sémantique: 7", "$HOME", "lock", "con.")


def collection(root: Path, channels: Any = 3) -> MedIMetaCollection:
    return MedIMetaCollection(root, channels=channels)


def named(sources: Any) -> list[str]:
    return [source.name for source in sources]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`a` and `b` share a domain, `c` and `d` subjects, and `b` has no validation split."""
    write_dataset(tmp_path, "a", tasks=[MULTI, BINARY], domain_overlaps=["b"])
    write_dataset(
        tmp_path,
        "b",
        tasks=[BINARY],
        domain_overlaps=["a"],
        splits={"train": range(10), "test": [10, 11]},
    )
    write_dataset(tmp_path, "c", tasks=[LABELS, MULTI, ORDINAL], channels=3, subject_overlaps=["d"])
    write_dataset(tmp_path, "d", tasks=[ORDINAL], subject_overlaps=["c"])
    return tmp_path


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


# -- what a run remembers --------------------------------------------------------------------------


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

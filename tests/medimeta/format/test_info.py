"""info.yaml: published files are accepted and kept; errors name the file, the field, the line."""

from __future__ import annotations

import dataclasses
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medimeta_adapter import DatasetInfo, SplitCounts, TaskInfo, TaskTarget, info_text, read_info
from torchcross.errors import DatasetFileError, InputError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal

TEXT = """\
id: dr_regular
name: "Diabetic Retinopathy (Regular Fundus)"
summary: "Fundus images,
graded"
domain: Retinal fundus
tasks:
  - task_name: DR level
    task_target: ORDINAL_REGRESSION
    labels:
      0: "Grade – 0: none"
      1: Grade - 1
  - task_name: "Artifact"
    task_target: ORDINAL_REGRESSION
    labels: {0: none, 1: a, 4: b, 6: c, 8: d, 10: e}
    unit: score
#  - task_name: seven-point score
#    task_target: REGRESSION
  - task_name: disease labels
    task_target: MULTILABEL_CLASSIFICATION
    labels: {0: no, 1: 12, 2: N}
  - task_name: sex
    task_target: BINARY_CLASSIFICATION
    labels: {0: M, 1: F}
  - task_name: class
    task_target: MULTICLASS_CLASSIFICATION
    labels: {0: a, 1: b, 2: c}
input_size: [3,224,224]
total_num_samples: 86_524
splits_num_samples:
  train: 80_000
  val: 0
  test: 6524
original_splits_num_samples: {train: 0, val: 0, test: 25_596}
domain_overlaps: [fundus]
subject_overlaps: []
license: "Creative Commons (CC BY-SA 4.0)"
DOI: 10.5281/zenodo.7884735
download_url: https://example.org/1.0.html
released: 2024-04-01
original_license: #unknown
original_data:
  - name: one
    citations: {data: "x", publication: y}
  - name: two
    citations:
      - "z"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "info.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_is_typed_and_kept(tmp_path: Path) -> None:
    info = read_info(write(tmp_path, TEXT))
    assert (info.id, info.domain, info.summary) == (
        "dr_regular",
        "Retinal fundus",
        "Fundus images, graded",
    )
    assert info.input_size == (3, 224, 224)
    assert info.total_num_samples == 86524
    assert info.splits_num_samples == SplitCounts(80000, 0, 6524)
    assert info.splits_num_samples.total == 86524
    assert info.original_splits_num_samples.test == 25596
    assert info.domain_overlaps == ("fundus",)
    assert info.doi == "10.5281/zenodo.7884735"
    assert info.extra == {
        "download_url": "https://example.org/1.0.html",
        "released": "2024-04-01",
        "original_license": None,
    }
    assert info.original_data[0]["citations"] == {"data": "x", "publication": "y"}
    assert info.original_data[1]["citations"] == ("z",)
    assert [task.name for task in info.tasks] == [
        "DR level",
        "Artifact",
        "disease labels",
        "sex",
        "class",
    ]
    assert info.primary_task is info.tasks[0]
    assert info.task("Artifact").extra == {"unit": "score"}


def test_targets_are_the_librarys(tmp_path: Path) -> None:
    info = read_info(write(tmp_path, TEXT))
    assert info.task("Artifact").target() == Ordinal(
        {0: "none", 1: "a", 4: "b", 6: "c", 8: "d", 10: "e"}
    )
    assert info.task("disease labels").target() == MultiLabel(["no", "12", "N"]), (
        "names are what was written"
    )
    assert info.task("sex").target() == Binary(["M", "F"])
    assert info.task("class").target() == MultiClass(["a", "b", "c"])
    assert [task.multilabel for task in info.tasks] == [False, False, True, False, False]
    assert info.task("Artifact").num_labels == 6
    assert list(info.task("Artifact").labels) == [0, 1, 4, 6, 8, 10]


def test_there_and_back(tmp_path: Path) -> None:
    info = read_info(write(tmp_path, TEXT))
    text = info_text(info)
    assert read_info(write(tmp_path, text)) == info
    published = yaml.safe_load(text)
    assert published["tasks"][1]["labels"] == {0: "none", 1: "a", 4: "b", 6: "c", 8: "d", 10: "e"}
    assert published["tasks"][2]["labels"][0] == "no"
    assert published["splits_num_samples"] == {"train": 80000, "val": 0, "test": 6524}


def test_nobody_changes_it(tmp_path: Path) -> None:
    info = read_info(write(tmp_path, TEXT))
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.id = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        info.extra["x"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        info.tasks[0].labels[3] = "x"  # type: ignore[index]
    assert pickle.loads(pickle.dumps(info)) == info
    assert hash(info) == hash(read_info(tmp_path / "info.yaml"))


words = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    str.strip
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | words,
    lambda inner: st.lists(inner, max_size=3),
)
names = words.filter(lambda name: not set(name) & set("/\\") and name not in (".", ".."))
tasks = st.builds(
    TaskInfo,
    names,
    st.just(TaskTarget.ORDINAL_REGRESSION),
    st.dictionaries(st.integers(-9, 99), words, min_size=2, max_size=5).map(
        lambda found: {key: f"{name}{key}" for key, name in sorted(found.items())}
    ),
    st.dictionaries(words.map("x{}".format), plain, max_size=2),
)


@pytest.mark.slow
@given(
    st.lists(tasks, min_size=1, max_size=3, unique_by=lambda task: task.name),
    names,
    words,
    st.lists(names, max_size=2),
    st.lists(st.dictionaries(words, plain, max_size=2), max_size=2),
    st.dictionaries(words.map("x{}".format), plain, max_size=2),
)
def test_any_description_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    tasks: Any,
    name: str,
    word: str,
    overlaps: Any,
    data: Any,
    extra: Any,
) -> None:
    info = DatasetInfo(
        *(name, word, word, tuple(tasks), (1, 8, 9), 7, SplitCounts(3, 1, 2), SplitCounts(), word),
        *(tuple(overlaps), (), word, word, tuple(data), extra),
    )
    assert read_info(write(tmp_path_factory.mktemp("info"), info_text(info))) == info


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: dr_regular", "id: ../up", r"id: '../up' would leave"),
        ("id: dr_regular", "id: a/b", r"id: 'a/b' would leave"),
        ("id: dr_regular", "id: 'a\\b'", r"id: 'a.+b' would leave"),
        ("id: dr_regular", 'id: "a\\0b"', r"id: .*control character"),
        ("id: dr_regular", "id: ..", r"id: '\.\.' would leave"),
        ("id: dr_regular", f"id: {'x' * 300}", r"id: .*longer than"),
        ("id: dr_regular", "id: [1]", r"id: \[1\] is no name"),
        ("id: dr_regular\n", "", r"id: is missing"),
        ("id: dr_regular", "id:", r"id: is missing"),
        ("task_name: DR level", "task_name: DR/level", r"tasks\[0\]\.task_name: .*without slashes"),
        (
            'task_name: "Artifact"',
            "task_name: DR level",
            r"tasks\[1\]\.task_name: a second task named 'DR level'",
        ),
        (
            "task_target: BINARY_CLASSIFICATION",
            "task_target: REGRESSION",
            r"tasks\[3\]\.task_target: 'REGRESSION'",
        ),
        ("labels: {0: M, 1: F}", "labels: {}", r"tasks\[3\]\.labels: a task needs labels"),
        ("    labels: {0: M, 1: F}\n", "", r"tasks\[3\]\.labels: a task needs labels"),
        (
            "labels: {0: M, 1: F}",
            "labels: [M, F]",
            r"tasks\[3\]\.labels: a task needs labels, a mapping",
        ),
        (
            "labels: {0: M, 1: F}",
            "labels: {0: M, 1: F, 2: D}",
            r"tasks\[3\]\.labels: Binary got 3 classes",
        ),
        ("labels: {0: M, 1: F}", "labels: {0: M, 1: M}", r"tasks\[3\]\.labels: .*more than once"),
        (
            "labels: {0: M, 1: F}",
            "labels: {0: M, x: F}",
            r"tasks\[3\]\.labels\.x: 'x' is no label value",
        ),
        (
            "labels: {0: M, 1: F}",
            "labels: {0: M, 1: }",
            r"tasks\[3\]\.labels\[1\]: None is no label name",
        ),
        ("labels: {0: M, 1: F}", "labels: {0: M, 0: F}", r"the key '0' is here twice"),
        (
            "labels: {0: M, 1: F}",
            "labels: {0: M, 99999999999: F}",
            r"99999999999 is no label value",
        ),
        ("{0: no, 1: 12, 2: N}", "{1: no, 2: 12, 3: N}", r"tasks\[2\]\.labels"),
        ("{0: none, 1: a, 4: b", "{1: none, 0: a, 4: b", r"tasks\[1\]\.labels: .*ascending"),
        (
            "      1: Grade - 1",
            "      1: [a]",
            r"tasks\[0\]\.labels\[1\]: \['a'\] is no label name",
        ),
        ("input_size: [3,224,224]", "input_size: [4,224,224]", r"input_size\[0\]: 4 channels"),
        (
            "input_size: [3,224,224]",
            "input_size: [224,224]",
            r"input_size: \[224, 224\] is no size",
        ),
        ("input_size: [3,224,224]", "input_size: [3,0,224]", r"input_size: "),
        ("input_size: [3,224,224]", "input_size: [3,2.5,224]", r"input_size: "),
        (
            "total_num_samples: 86_524",
            "total_num_samples: -1",
            r"total_num_samples: -1 is no number",
        ),
        ("total_num_samples: 86_524", "total_num_samples: true", r"total_num_samples: True"),
        (
            "total_num_samples: 86_524",
            "total_num_samples: 3",
            r"splits_num_samples: the splits have 86524",
        ),
        ("total_num_samples: 86_524", f"total_num_samples: {'9' * 30}", r"total_num_samples: 9+"),
        ("  val: 0\n", "  val: x\n", r"splits_num_samples\.val: 'x' is no number"),
        ("  val: 0\n", "  dev: 0\n", r"splits_num_samples\.dev: 'dev' is no split"),
        (
            "domain_overlaps: [fundus]",
            "domain_overlaps: fundus",
            r"domain_overlaps: 'fundus' is no list",
        ),
        ("domain_overlaps: [fundus]", "domain_overlaps: [a/b]", r"domain_overlaps\[0\]: 'a/b'"),
        ("original_data:", "original_data: 3\nx:", r"original_data: 3|original_data: give a list"),
        ("domain: Retinal fundus", "domain: ' '", r"domain: ' ' is no domain"),
        (
            "domain: Retinal fundus",
            "domain: Retinal fundus\nname: again",
            r"the key 'name' is here twice",
        ),
        ("domain: Retinal fundus", "domain: [unclosed", r"line \d+: not valid YAML"),
        (
            "domain: Retinal fundus",
            "domain: !!python/name:os.system x",
            r"the tag .*python/name.* is not allowed",
        ),
        (
            "domain: Retinal fundus",
            "domain: !!python/object/apply:os.system [x]",
            r"the tag .* is not allowed",
        ),
        ("domain: Retinal fundus", "domain: *nobody", r"(the alias|not valid YAML)"),
        ("domain: Retinal fundus", "domain: d\n? [a]\n: b", r"a key is a mapping or a list"),
        ("domain: Retinal fundus", "domain: d\n<<: {a: 1}", r"the tag .*merge"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    path = write(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(DatasetFileError, match=message) as caught:
        read_info(path)
    found = re.match(re.escape(str(path)) + r"(?:, |:\n  )line (\d+)[,:]", str(caught.value))
    assert found is not None
    first = TEXT[: TEXT.index(old)].count("\n") + 1
    assert int(found[1]) in (
        1,
        *range(first - 2, first + new.count("\n") + 4),
    ), "1: a field that is missing altogether"


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    text = (
        TEXT.replace("[3,224,224]", "[2,224,224]")
        .replace("{0: M, 1: F}", "{}")
        .replace("  val: 0", "  val: -1")
    )
    with pytest.raises(DatasetFileError) as caught:
        read_info(write(tmp_path, text))
    for field in ("input_size[0]", "tasks[3].labels", "splits_num_samples.val"):
        assert field in str(caught.value)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "info.yaml"
    with pytest.raises(DatasetFileError, match="but: No such file"):
        read_info(path)
    for content, message in (
        (b"", "empty"),
        (b"- a\n- b\n", "line 1: expected a mapping"),
        (b"id: \xff\n", "line 1: not UTF-8"),
        (b"a: 1\n---\nb: 1\n", "line 2: a second document"),
        (b"a: 1" + b" " * (1 << 20), "has at most 1,048,576"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "not UTF-8"),
        (b"a: \x00\n", "not valid YAML"),
    ):
        path.write_bytes(content)
        with pytest.raises(DatasetFileError, match=message):
            read_info(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DatasetFileError, match="no regular file"):
        read_info(path)


def test_arguments_are_checked_like_files() -> None:
    with pytest.raises(InputError, match=r"task: labels\.x"):
        TaskInfo("a", TaskTarget.BINARY_CLASSIFICATION, {"x": "y"})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="task_target"):
        TaskInfo("a", "REGRESSION", {0: "y"})  # type: ignore[arg-type]
    task = TaskInfo("a", "BINARY_CLASSIFICATION", {0: "y", 1: "n"})  # type: ignore[arg-type]
    assert task.task_target is TaskTarget.BINARY_CLASSIFICATION
    with pytest.raises(InputError, match=r"split counts: val: -1"):
        SplitCounts(1, -1)
    with pytest.raises(InputError, match="dataset: id"):
        DatasetInfo("a/b", "n", "d", (task,), (1, 2, 2), 3)
    with pytest.raises(InputError, match="did you mean 'a'"):
        DatasetInfo("ab", "n", "d", (task,), (1, 2, 2), 3).task("aa")

"""Never a subject in two splits, the same for the same seed, fractions as near as subjects
allow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medimeta_adapter.convert.splitting import split_by_subject, split_report
from tests.examples import max_examples
from torchcross.errors import InputError

SPLITS = ("train", "val", "test")
FRACTIONS = [
    (0.7, 0.1, 0.2),
    (0.85, 0.15, 0.0),
    (0.5, 0.25, 0.25),
    (1.0, 0.0, 0.0),
    (0.6, 0.2, 0.2),
]


@st.composite
def collections(draw: st.DrawFn) -> tuple[Any, Any, tuple[float, ...], int]:
    """Labels of one of the shapes there are, subjects of unequal sizes, fractions, a seed."""
    seed = draw(st.integers(0, 1 << 20))
    words = np.random.RandomState(seed)
    count = draw(st.integers(3, 120))
    subjects = words.randint(0, draw(st.integers(3, 60)), count)
    subjects[:3] = [100, 101, 102]
    labels = [
        words.randint(0, 4, count) * 2,
        (words.rand(count, 3) < 0.3).astype(np.int64),
        np.array(["a", "b"])[words.randint(0, 2, count)],
        np.arange(count),
        None,
    ][draw(st.integers(0, 4))]
    kind = draw(st.sampled_from(["numbers", "texts"]))
    named = subjects if kind == "numbers" else np.array([f"p{s}" for s in subjects])
    return labels, named, draw(st.sampled_from(FRACTIONS)), seed


@pytest.mark.slow
@max_examples(48)
@given(collections())
def test_no_subject_stands_in_two_splits(case: tuple[Any, Any, tuple[float, ...], int]) -> None:
    labels, subjects, fractions, seed = case
    splits = split_by_subject(labels, subjects, fractions=fractions, seed=seed)
    assert len(splits) == len(subjects)
    homes = [set(splits[subjects == subject].tolist()) for subject in np.unique(subjects)]
    assert all(len(home) == 1 for home in homes)
    assert {name for name, share in zip(SPLITS, fractions, strict=True) if share} == set(
        splits.tolist()
    )
    np.testing.assert_array_equal(
        splits, split_by_subject(labels, subjects, fractions=fractions, seed=seed)
    )
    report = split_report(splits, labels, subjects)
    assert sum(report.samples.values()) == len(splits)
    assert sum(report.subjects.values()) == len(homes)


@max_examples(24)
@given(collections(), st.sampled_from(["test", "val"]))
def test_what_is_kept_stays_and_takes_its_subjects_along(
    case: tuple[Any, Any, tuple[float, ...], int], name: str
) -> None:
    labels, subjects, _, seed = case
    kept = np.flatnonzero(np.isin(subjects, np.unique(subjects)[:1]))[:1]
    shares = {split: 0.5 for split in SPLITS if split != name}
    splits = split_by_subject(labels, subjects, fractions=shares, seed=seed, keep={name: kept})
    joined = np.isin(subjects, subjects[kept])
    np.testing.assert_array_equal(splits == name, joined)


@pytest.mark.parametrize("grouped", [True, False])
def test_fractions_and_classes_are_reached(grouped: bool) -> None:
    words = np.random.RandomState(1)
    labels = (words.rand(2000) < 0.1).astype(int)
    subjects = words.randint(0, 400, 2000) if grouped else None
    report = split_report(split_by_subject(labels, subjects, seed=3), labels, subjects)
    for name, share in zip(SPLITS, (0.7, 0.1, 0.2), strict=True):
        assert abs(report.fractions[name] - share) < 0.02
        assert abs(report.classes[name][1] / labels.sum() - share) < 0.05
    assert "train: " in str(report)


def test_labels_of_a_multi_label_task_are_in_proportion() -> None:
    words = np.random.RandomState(2)
    labels = (words.rand(3000, 6) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.01]).astype(int)
    report = split_report(split_by_subject(labels, None, seed=0), labels)
    for column in range(6):
        assert abs(report.classes["test"][column] / labels[:, column].sum() - 0.2) < 0.05


def test_other_seeds_divide_otherwise() -> None:
    labels, subjects = np.arange(200) % 3, np.arange(200) // 2
    divided = [split_by_subject(labels, subjects, seed=seed).tolist() for seed in range(3)]
    assert divided[0] != divided[1] != divided[2]


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002
    split_by_subject(np.arange(50) % 2, np.arange(50) // 2, seed=5)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]  # noqa: NPY002


def test_one_giant_subject_leaves_no_split_empty() -> None:
    subjects = np.array(["giant"] * 97 + ["a", "b", "c"])
    splits = split_by_subject(np.arange(100) % 2, subjects, seed=0)
    assert set(splits.tolist()) == set(SPLITS)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"subjects": ["a", "a", "b", "b", "b", "a"]},
            r"2 subject\(s\) are too few for the 3 splits",
        ),
        ({"subjects": ["a", None, "b", "c", "d", "e"]}, "no subject, the first is sample 1"),
        ({"subjects": [1.0, float("nan"), 2.0, 3.0, 4.0, 5.0]}, "no subject"),
        ({"subjects": [[1]] * 6}, "one per sample"),
        ({"labels": [0, 1]}, "for 6 samples"),
        ({"labels": [0, 1, 0, 1, 0, float("nan")]}, "NaN"),
        ({"labels": [[0, 2]] * 6}, "other than 0 and 1"),
        ({"fractions": (0.5, 0.5)}, "three that sum to 1"),
        ({"fractions": (0.9, 0.2, -0.1)}, "three that sum to 1"),
        ({"fractions": {"training": 1.0}}, "training"),
        ({"seed": -1}, "seed"),
        ({"keep": {"dev": [0]}}, "'dev'"),
        ({"keep": {"test": [9]}}, "outside the samples"),
        ({"keep": {"test": [0.5]}}, "indices"),
        ({"keep": {"test": [0], "val": [0]}}, "subject 'a' .* two kept splits"),
        ({"keep": {"test": [0, 1, 2, 3, 4, 5]}}, "leave none for"),
        ({"keep": {"test": [0], "val": [1], "train": [2]}}, "every split with a fraction is kept"),
    ],
)
def test_requests_that_cannot_be_met(change: dict[str, Any], match: str) -> None:
    given: dict[str, Any] = {
        "labels": [0, 1, 0, 1, 0, 1],
        "subjects": list("abcdef"),
        "seed": 0,
        **change,
    }
    with pytest.raises(InputError, match=match):
        split_by_subject(given.pop("labels"), given.pop("subjects"), **given)


def test_a_shared_subject_is_reported_by_name() -> None:
    with pytest.raises(InputError, match=r"subject 'a' is in the splits \['test', 'train'\]"):
        split_report(["train", "test", "val"], [0, 0, 1], ["a", "a", "b"])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((["train", "dev", "dev"], [0, 1, 1]), r"splits name \['dev'\]; the splits are \['train'"),
        (([], []), r"splits have shape \(0,\)"),
        ((["train", "test"], [0]), "2 splits and 1 labels"),
        ((["train", "test"], [0, 1], ["a"]), "2 splits and 1 subjects"),
    ],
)
def test_reports_of_no_division_into_splits(arguments: tuple[Any, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        split_report(*arguments)


def test_a_report_counts_unknown_answers_as_no() -> None:
    report = split_report(["train", "train", "test"], [[1, -1], [1, -1], [0, 1]])
    assert report.classes == {"train": {0: 2, 1: 0}, "val": {0: 0, 1: 0}, "test": {0: 0, 1: 1}}
    assert report.fractions["val"] == 0

"""Folds and fractions: what every draw keeps, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchcross import Task, TensorSource
from torchcross.data import class_fraction, stratified_folds
from torchcross.errors import InfeasibleError, InputError
from torchcross.targets import MultiClass, MultiLabel, Ordinal, Target


def source_of(target: Target, labels: object, groups: object = None) -> TensorSource:
    labels = np.asarray(labels)
    return TensorSource(torch.zeros(len(labels), 1, 2, 2), labels, Task("t", target), groups=groups)


@st.composite
def classes_and_subjects(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(30, 80))
    labels = np.arange(count) % draw(st.integers(2, 4))
    subjects = np.array(draw(st.lists(st.integers(0, 40), min_size=count, max_size=count)))
    return labels, subjects


@given(classes_and_subjects(), st.integers(2, 4), st.integers(0, 2**40))
def test_every_sample_is_in_one_fold_and_subjects_are_whole(
    drawn: tuple[np.ndarray, np.ndarray], folds: int, seed: int
) -> None:
    labels, subjects = drawn
    source = source_of(MultiClass(["a", "b", "c", "d"][: labels.max() + 1]), labels, subjects)
    try:
        parts = stratified_folds(source, folds, seed=seed)
    except InfeasibleError:
        return
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    owners = [set(subjects[part]) for part in parts]
    assert sum(map(len, owners)) == len(set(subjects))
    assert all(set(labels[part]) == set(labels) for part in parts)
    again = stratified_folds(source, folds, seed=seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


@given(st.integers(0, 2**32), st.integers(2, 5))
def test_classes_have_their_share_of_every_fold(seed: int, folds: int) -> None:
    labels = np.repeat([0, 1, 2], [60, 31, 12])
    parts = stratified_folds(source_of(Ordinal(["a", "b", "c"]), labels), folds, seed=seed)
    for part in parts:
        counts = np.bincount(labels[part], minlength=3)
        assert (np.abs(counts - np.array([60, 31, 12]) / folds) < 1.01).all()


@given(st.integers(0, 2**32))
def test_labels_have_their_share_of_every_fold(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = (generator.random((120, 3)) < [0.5, 0.2, 0.1]).astype(int)
    labels[:8, 2] = 1
    labels[generator.random((120, 3)) < 0.05] = -9
    subjects = np.repeat(np.arange(60), 2)
    target = MultiLabel(["x", "y", "z"], missing=[-9])
    parts = stratified_folds(source_of(target, labels, subjects), 4, seed=seed)
    labelled = np.flatnonzero((labels >= 0).any(axis=1))
    assert sorted(np.concatenate(parts)) == labelled.tolist()
    assert sum(len(set(subjects[part])) for part in parts) == len(set(subjects[labelled]))
    for column in range(3):
        wanted = (labels[:, column] == 1).sum() / 4
        for part in parts:
            # A subject has two samples, and rounding is to whole subjects.
            assert abs((labels[part, column] == 1).sum() - wanted) <= 4


def test_what_has_too_few_for_the_folds_is_refused_by_name() -> None:
    labels = [0] * 10 + [1] * 3
    with pytest.raises(InfeasibleError, match="3 samples of 'rare', too few for 5 folds"):
        stratified_folds(source_of(MultiClass(["often", "rare"]), labels), 5)
    subjects = [*range(10), 20, 20, 20]
    with pytest.raises(InfeasibleError, match="1 subject of 'rare'"):
        stratified_folds(source_of(MultiClass(["often", "rare"]), labels, subjects), 2)
    answers = np.array([[1, 0]] * 2 + [[0, 1]] * 8)
    with pytest.raises(InfeasibleError, match="2 samples with 'x'"):
        stratified_folds(source_of(MultiLabel(["x", "y"]), answers), 3)
    with pytest.raises(InputError, match="folds=1"):
        stratified_folds(source_of(MultiClass(["often", "rare"]), labels), 1)


def test_a_class_that_no_sample_has_is_no_obstacle() -> None:
    source = source_of(MultiClass(["a", "b", "never"]), [0, 1] * 6)
    assert [len(part) for part in stratified_folds(source, 3)] == [4, 4, 4]


@given(classes_and_subjects(), st.integers(0, 2**40), st.floats(0.2, 0.9))
def test_fractions_are_nested_and_subjects_are_whole(
    drawn: tuple[np.ndarray, np.ndarray], seed: int, fraction: float
) -> None:
    labels, subjects = drawn
    source = source_of(MultiClass(["a", "b", "c", "d"][: labels.max() + 1]), labels, subjects)
    try:
        small = class_fraction(source, fraction / 2, seed=seed)
        large = class_fraction(source, fraction, seed=seed)
    except InfeasibleError:
        return
    assert set(small.indices) <= set(large.indices)
    inside = set(subjects[large.indices])
    assert inside.isdisjoint(subjects[np.setdiff1d(np.arange(len(labels)), large.indices)])
    assert large.drawn == source.subset(large.indices).counts()


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_pairs_of_eyes_stay_together_and_grades_keep_their_share(
    seed: int, fraction: float
) -> None:
    left = np.repeat([0, 1, 2], [120, 40, 20])
    right = left.copy()
    right[::5] = (right[::5] + 1) % 3
    labels = np.stack([left, right], axis=1).ravel()
    source = source_of(Ordinal(["none", "mild", "severe"]), labels, np.repeat(np.arange(180), 2))
    draw = class_fraction(source, fraction, seed=seed)
    # Six groups of equal pairs, each off by less than one subject.
    assert draw.deviation < 12
    if fraction == 1:
        assert draw.deviation == 0
        assert len(draw.indices) == 360


def test_fractions_that_lose_a_class_are_refused() -> None:
    source = source_of(MultiClass(["a", "b"]), [0] * 50 + [1])
    refused = 0
    for seed in range(5):
        try:
            class_fraction(source, 0.1, seed=seed)
        except InfeasibleError as error:
            refused += "no sample of ['b']" in str(error)
    assert refused >= 3
    for fraction in (0, 1.5):
        with pytest.raises(InputError, match="fraction="):
            class_fraction(source, fraction)

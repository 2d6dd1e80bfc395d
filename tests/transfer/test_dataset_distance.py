"""OTDD: golden values, what a distance must be, and what is left out."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment

from tests.examples import max_examples
from tests.transfer.fixtures import class_features
from torchcross import Task, TensorSource, backbones, transfer
from torchcross.errors import InputError, MissingExtraError
from torchcross.targets import Binary, MultiClass, MultiLabel
from torchcross.transfer.similarity import otdd_noise_floor, otdd_of_features
from torchcross.transfer.similarity.dataset_distance import _costs
from torchcross.transfer.similarity.label_gaussians import label_distances

EMBED = backbones.conv4(4, in_channels=1, seed=0)


def golden_pair() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(60 rows of 4 features of three classes, 40 of two classes)."""
    i, j = np.arange(40)[:, None], np.arange(4)[None]
    classes = ((np.arange(40) ** 2 + np.arange(40)) % 5) % 2
    waves = np.sin(1.3 * i + 0.7 * j + 0.11 * i * j + 0.5)
    return *class_features(60, 4), waves + 0.9 * (j % 2 == classes[:, None]), classes


def golden_costs(covariance: str) -> np.ndarray:
    rows, classes, others, other_classes = golden_pair()
    return _costs((rows, classes), (others, other_classes), covariance)


def test_golden_distances_of_labels() -> None:
    rows, classes, others, other_classes = golden_pair()
    groups = [rows[classes == code] for code in range(3)]
    other_groups = [others[other_classes == code] for code in range(2)]
    assert label_distances(groups, other_groups, "full") == pytest.approx(
        np.array(
            [
                [1.6524637332, 4.3069283959],
                [3.9206124378, 1.1456474743],
                [1.5858495257, 3.1263687002],
            ]
        ),
        abs=1e-9,
    )


@pytest.mark.parametrize(
    ("covariance", "square"), [("full", 3.1387045355), ("diagonal", 2.9698766506)]
)
def test_golden_transport(covariance: str, square: float) -> None:
    # Each sample twice and each other one three times: 120 of both, at the same weights.
    costs = golden_costs(covariance).repeat(2, axis=0).repeat(3, axis=1)
    assert costs[linear_sum_assignment(costs)].mean() == pytest.approx(square, abs=1e-9)


def test_golden_value_of_unequal_numbers() -> None:
    pytest.importorskip("ot", reason="POT is the extra otdd; `make packages` has it")
    value = otdd_of_features(*golden_pair()).value
    assert value == pytest.approx(1.7716389405, abs=1e-9)
    rows, classes, others, other_classes = golden_pair()
    back = otdd_of_features(others, other_classes, rows, classes).value
    assert back == pytest.approx(value, abs=1e-12)


def test_unequal_numbers_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(MissingExtraError, match=r"of 60 and 40 images needs ot.*\[otdd\]"):
        otdd_of_features(*golden_pair())


@max_examples(20)
@given(seed=st.integers(0, 2**16), width=st.integers(1, 9), few=st.booleans())
def test_roots_of_covariances_are_not_needed(seed: int, width: int, few: bool) -> None:
    generator = np.random.default_rng(seed)
    groups = [generator.normal(size=(size, width)) for size in ((3, 4) if few else (30, 20))]
    one, other = (np.atleast_2d(np.cov(rows.T)) for rows in groups)
    root = sqrtm(one).real
    middle = np.trace(sqrtm(root @ other @ root).real)
    shift = ((groups[0].mean(0) - groups[1].mean(0)) ** 2).sum()
    expected = shift + np.trace(one) + np.trace(other) - 2 * middle
    value = label_distances(groups[:1], groups[1:], "full")
    assert value[0, 0] == pytest.approx(expected, abs=1e-5)


def dataset(seed: int, shift: float = 0.0, count: int = 40, name: str = "lesions") -> TensorSource:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.rand(count, 1, 16, 16, generator=generator)
    images += shift + 0.5 * labels.reshape(-1, 1, 1, 1)
    return TensorSource(images, labels, Task(name, Binary(["no", "yes"])), name=name)


def test_a_dataset_is_at_no_distance_to_itself_and_draws_are() -> None:
    one, far = dataset(0), dataset(1, shift=3.0)
    assert transfer.otdd(one, one, embed=EMBED).value == pytest.approx(0, abs=1e-6)
    floor = otdd_noise_floor(one, embed=EMBED)
    apart = transfer.otdd(one, far, embed=EMBED, images=20)
    assert 0 < floor.value < apart.value
    assert transfer.otdd(far, one, embed=EMBED, images=20).value == pytest.approx(apart.value)
    again = transfer.otdd(one, far, embed=EMBED, images=20)
    other = transfer.otdd(one, far, embed=EMBED, images=20, seed=1)
    assert again.value == apart.value != other.value


def test_labels_count_and_not_only_images() -> None:
    rows, classes = class_features(60, 4)
    mixed = classes[np.random.default_rng(0).permutation(60)]
    assert otdd_of_features(rows, classes, rows, classes).value == pytest.approx(0, abs=1e-6)
    assert otdd_of_features(rows, classes, rows, mixed).value > 0.1
    renamed = otdd_of_features(rows, classes, rows, (classes + 1) % 3)
    assert renamed.value == pytest.approx(0, abs=1e-6)


def test_several_labels_are_sets_of_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(24, 1, 16, 16, generator=generator)
    labels = torch.stack([torch.arange(24) % 2, torch.arange(24) // 12], dim=1)
    several = TensorSource(images, labels, Task("t", MultiLabel(["a", "b"])))
    classes = TensorSource(
        images, 2 * labels[:, 0] + labels[:, 1], Task("t", MultiClass(["w", "x", "y", "z"]))
    )
    assert transfer.otdd(several, classes, embed=EMBED).value == pytest.approx(0, abs=1e-6)


def test_classes_of_one_image_are_left_out_and_counted() -> None:
    rows, classes = class_features(60, 4)
    classes = np.where(np.arange(60) == 7, 3, classes)
    score = otdd_of_features(rows, classes, rows, classes)
    note = "1 of 4 classes of the {} dataset have one image and are left out"
    assert score.reason == f"{note.format('first')}; {note.format('second')}"
    alone = otdd_of_features(rows, np.arange(60), rows, classes)
    assert math.isnan(alone.value)
    assert alone.reason.startswith("60 of 60 classes of the first dataset have one image")
    with pytest.raises(InputError, match=r"second dataset have the shape \(3,\)"):
        otdd_of_features(rows, classes, rows, classes[:3])


def test_too_few_images() -> None:
    with pytest.raises(InputError, match="3 images with all labels known"):
        transfer.otdd(dataset(0, count=3), dataset(0), embed=EMBED)
    with pytest.raises(InputError, match="covariance='spherical'"):
        transfer.otdd(dataset(0), dataset(1), embed=EMBED, covariance="spherical")

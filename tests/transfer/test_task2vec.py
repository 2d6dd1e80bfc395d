"""Embeddings of sources: what they depend on, and what they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchcross import Task, TensorSource, backbones
from torchcross.errors import InputError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Target
from torchcross.transfer.similarity import distance, noise_floor, task2vec

PROBE = backbones.conv4(8, in_channels=1, seed=0)


def source_of(target: Target, seed: int, count: int = 60, name: str = "task") -> TensorSource:
    """Images whose brightness goes with the first label."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *target.label_shape)
    most = 2 if target.label_shape else target.num_classes
    labels = torch.randint(0, most, shape, generator=generator)
    images = torch.rand(count, 1, 16, 16, generator=generator)
    images += labels.reshape(count, -1)[:, 0].reshape(-1, 1, 1, 1) * 0.3
    raw = labels if target.label_shape else torch.from_numpy(target.decode(labels))
    return TensorSource(images, raw, Task(name, target))


TARGETS = {
    "binary": Binary(["no", "yes"]),
    "multi-class": MultiClass(["a", "b", "c"]),
    "multi-label": MultiLabel(["x", "y"]),
    "ordinal": Ordinal(["low", "mid", "high"], grades=[0, 1, 4]),
    "ordinal, CORN": Ordinal(["low", "mid", "high"], loss="corn"),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_every_target_has_an_embedding(kind: str) -> None:
    source = source_of(TARGETS[kind], seed=1)
    embedding = task2vec(source, PROBE, images=40)
    assert len(embedding.values) == sum(count for _, count in embedding.layers)
    assert np.isfinite(embedding.values).all()
    assert (embedding.values > 0).any()
    assert embedding.images == 40
    assert task2vec(source, PROBE, images=40).values.tolist() == embedding.values.tolist()
    assert task2vec(source, PROBE, images=40, seed=1).values.tolist() != embedding.values.tolist()


def test_the_loss_of_a_target_does_not_count() -> None:
    plain, corn = (
        task2vec(source_of(Ordinal(["a", "b", "c"], loss=loss), seed=2), PROBE, images=30)
        for loss in ("cross_entropy", "corn")
    )
    assert plain.values == pytest.approx(corn.values, rel=1e-3)


def test_tasks_of_one_kind_are_nearer_than_the_floor_of_another() -> None:
    dark = source_of(TARGETS["multi-class"], seed=3, count=200)
    other = source_of(TARGETS["binary"], seed=4, count=200)
    floor = noise_floor(dark, PROBE, images=80)
    far = distance(task2vec(dark, PROBE, images=80), task2vec(other, PROBE, images=80))
    assert 0 < floor < far


def test_small_sources_are_halved_for_the_floor() -> None:
    source = source_of(TARGETS["binary"], seed=5, count=20)
    assert noise_floor(source, PROBE, images=300) > 0


def test_classes_that_no_image_has_are_left_out_by_name() -> None:
    target = MultiClass(["a", "b", "never"])
    labels = np.arange(20) % 2
    images = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    embedding = task2vec(TensorSource(images, labels, Task("t", target)), PROBE)
    assert embedding.absent == ("never",)
    assert "20 images" in repr(embedding)


def test_one_class_has_no_embedding() -> None:
    images = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    one = TensorSource(images, np.zeros(20, dtype=int), Task("t", TARGETS["multi-class"]))
    with pytest.raises(InputError, match="too few classes to tell apart: \\['a'\\]"):
        task2vec(one, PROBE)
    unknown = TensorSource(images, np.full(20, -9), Task("t", MultiClass(["a", "b"], missing=[-9])))
    with pytest.raises(InputError, match="0 labelled images"):
        task2vec(unknown, PROBE)


def test_the_probe_is_recorded() -> None:
    source = source_of(TARGETS["binary"], seed=6)
    other = backbones.conv4(8, in_channels=1, seed=1)
    with pytest.raises(InputError, match="different probes"):
        distance(task2vec(source, PROBE, images=20), task2vec(source, other, images=20))

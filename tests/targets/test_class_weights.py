"""Class weights under every loss: torch's where torch has them, the definition elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.utils.class_weight import compute_class_weight

from tests.targets.tables import TARGETS, random_labels, random_logits
from torchcross import backbones, metrics
from torchcross.algorithms import Supervised
from torchcross.data import MixedBatches, TensorSource
from torchcross.errors import InputError, TargetError
from torchcross.targets import (
    MISSING,
    MultiClass,
    MultiLabel,
    Ordinal,
    balanced_weights,
    class_weighted_loss,
)
from torchcross.task import Task

UNWEIGHTED = [name for name in TARGETS if "weighted" not in name]


@pytest.mark.parametrize("name", UNWEIGHTED)
def test_equal_weights_change_nothing(name: str) -> None:
    target = TARGETS[name]
    logits = random_logits(target, 12)
    labels = random_labels(target, 12, missing=True)
    answers = labels.reshape(12, -1).shape[1]
    weights = torch.full((answers, len(target.values)), 2.5, dtype=torch.float64)
    plain = target.answer_losses(logits, labels)
    assert plain.shape == (12, answers)
    assert bool((plain[labels.reshape(12, -1) == MISSING] == 0).all())
    weighted = class_weighted_loss(target, logits, labels, weights)
    known = (labels != MISSING).sum()
    assert float(weighted) == pytest.approx(float(plain.sum() / known))
    if not name.startswith("corn"):
        assert float(weighted) == pytest.approx(float(target.loss(logits, labels)))


@pytest.mark.parametrize("name", UNWEIGHTED)
def test_a_class_without_weight_is_not_there(name: str) -> None:
    target = TARGETS[name]
    logits, labels = random_logits(target, 30), random_labels(target, 30)
    answers = labels.reshape(30, -1).shape[1]
    weights = torch.ones(answers, len(target.values), dtype=torch.float64)
    weights[:, 0] = 0
    without = torch.where(labels == 0, MISSING, labels)
    plain = torch.ones_like(weights)
    assert float(class_weighted_loss(target, logits, labels, weights)) == pytest.approx(
        float(class_weighted_loss(target, logits, without, plain))
    )


def test_weights_of_cross_entropies_are_those_of_their_option() -> None:
    pair = [1.0, 4.0]
    multi = MultiClass(["a", "b", "c"])
    logits, labels = random_logits(multi, 20), random_labels(multi, 20, missing=True)
    weights = torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64)
    expected = multi.with_loss("cross_entropy", class_weights=[1.0, 2.0, 0.5]).loss(logits, labels)
    assert float(class_weighted_loss(multi, logits, labels, weights)) == pytest.approx(
        float(expected)
    )
    several = MultiLabel(["x", "y"])
    logits, labels = random_logits(several, 20), random_labels(several, 20, missing=True)
    table = torch.tensor([pair, [2.0, 0.5]], dtype=torch.float64)
    option = several.with_loss("binary_cross_entropy", class_weights=table.tolist())
    assert float(class_weighted_loss(several, logits, labels, table)) == pytest.approx(
        float(option.loss(logits, labels))
    )


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    target = Ordinal(["a", "b", "c", "never"])
    labels = torch.tensor([0] * 7 + [1] * 2 + [2] + [-1])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels[:-1].numpy())
    assert balanced_weights(target, labels)[0].tolist() == pytest.approx([*expected, 0.0])
    answers = torch.tensor([[1, 0], [0, 0], [0, 0], [-1, 1]])
    weights = balanced_weights(MultiLabel(["x", "y"]), answers)
    assert weights.tolist() == pytest.approx(np.array([[0.75, 1.5], [4 / 6, 2.0]]))


def test_full_supervision_takes_weights_under_every_loss() -> None:
    target = Ordinal(["low", "mid", "high"], loss="coral")
    task = Task("t", target)
    labels = torch.tensor([0] * 40 + [1] * 2 + [2] * 2)
    images = torch.rand(44, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    batches = MixedBatches([TensorSource(images, labels, task)], batch_size=44, seed=0)
    losses = []
    for weights in (None, balanced_weights(target, labels)):
        net = backbones.conv4(4, in_channels=1, seed=0)
        learner = Supervised(net, task, class_weights=weights)
        losses.append(learner.training_step([batches.read(batches[0])]).loss.item())
        assert ("class_weights" in learner.protocol()) == (weights is not None)
    assert losses[0] != losses[1]


def test_weights_that_do_not_fit() -> None:
    task = Task("t", MultiClass(["a", "b", "c"]))
    net = backbones.conv4(4, in_channels=1, seed=0)
    with pytest.raises(InputError, match=r"needs \(1, 3\)"):
        Supervised(net, task, class_weights=torch.ones(3))
    weighted = Task("t", MultiClass(["a", "b"], class_weights=[1, 2]))
    with pytest.raises(TargetError, match="not twice"):
        Supervised(net, weighted, class_weights=torch.ones(1, 2))


def test_auroc_weighted_by_priors() -> None:
    i, c = np.arange(60)[:, None], np.arange(3)[None]
    labels = ((i[:, 0] ** 2 + i[:, 0]) % 5) % 3
    logits = np.cos(0.5 * i + 1.1 * c + 0.13 * i * c) + 0.8 * (c == labels[:, None])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    known = torch.cat([torch.from_numpy(labels), torch.tensor([-1])])
    probabilities = torch.from_numpy(np.concatenate([p, p[:1]]))
    score = metrics.weighted_auroc(probabilities, known, ["a", "b", "c"])
    assert score.value == pytest.approx(0.8194444444)
    expected = roc_auc_score(labels, p, multi_class="ovr", average="weighted")
    assert score.value == pytest.approx(expected)
    assert metrics.auroc(probabilities, known, ["a", "b", "c"]).value == pytest.approx(0.8229166667)
    one = metrics.weighted_auroc(probabilities, known * 0, ["a", "b", "c"])
    assert not one.is_defined

"""A predictor of one's own target or loss loads again, or is refused when it is saved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import pytest
import torch

from torchcross import losses
from torchcross.algorithms import ProtoNet, load_predictor
from torchcross.backbones import conv4
from torchcross.episode import Batch
from torchcross.errors import InputError, ReadError
from torchcross.targets import MultiClass, Objective, SingleLabelTarget, add_loss, add_target
from torchcross.task import Task
from torchcross.testing import check_target

OWN = MultiClass.objectives["cross_entropy"]


def cautious(logits):
    """The last class from a fifth of the probability on."""
    best = logits.argmax(-1)
    return torch.where(logits.softmax(-1)[..., -1] >= 0.2, logits.shape[-1] - 1, best)


@final
@dataclass(frozen=True, init=False, repr=False)
class Cautious(SingleLabelTarget):
    """As a user writes one."""

    kind = "cautious"
    default_loss = "cross_entropy"
    objectives = {"cross_entropy": replace(OWN, decisions=cautious)}
    metrics = MultiClass.metrics
    default_metrics = ("auroc", "accuracy")

    def __init__(self, classes, *, missing=(), loss=None, **options):
        named = dict(classes if isinstance(classes, dict) else enumerate(classes))
        self.check_and_fill(tuple(named.values()), tuple(named), missing, loss, options)

    def regression_codes(self):
        return torch.eye(self.num_classes)


def predictor_of(target):
    images = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % target.num_classes
    algorithm = ProtoNet(conv4(4, in_channels=1), norm="support")
    return algorithm.adapt(Batch(images, labels), Task("mine", target, "toys")), images


def test_a_target_of_ones_own_keeps_the_contracts():
    check_target(Cautious(["no", "maybe", "urgent"]))


def test_a_predictor_of_it_is_refused_until_it_is_added(registries, tmp_path):
    predictor, images = predictor_of(Cautious({0: "no", 3: "maybe", 7: "urgent"}))
    path = tmp_path / "p.safetensors"
    with pytest.raises(InputError, match=r"Cautious is a target of your own.*add_target"):
        predictor.save(path)
    assert not path.exists()
    add_target(Cautious)
    predictor.save(path)
    loaded = load_predictor(path)
    assert loaded.task == predictor.task
    assert torch.equal(loaded(images).probabilities, predictor(images).probabilities)
    assert torch.equal(loaded(images).decisions, predictor(images).decisions)
    registries()
    with pytest.raises(ReadError, match=r"no target is called 'cautious'.*--plugin"):
        load_predictor(path)


def halved(logits, labels, target, **options):
    return losses.cross_entropy(logits, labels) / 2


def test_a_predictor_of_an_own_loss_needs_the_loss(registries, tmp_path):
    add_loss("halved", replace(OWN, loss=halved), [MultiClass])
    predictor, images = predictor_of(MultiClass(["a", "b"], loss="halved"))
    path = tmp_path / "p.safetensors"
    predictor.save(path)
    assert torch.equal(load_predictor(path)(images).probabilities, predictor(images).probabilities)
    registries()
    with pytest.raises(ReadError, match="has no loss 'halved'"):
        load_predictor(path)
    with pytest.raises(InputError, match="could not be read again"):
        predictor.save(tmp_path / "again.safetensors")


def test_what_is_no_target_or_loss_is_refused(registries):
    with pytest.raises(InputError, match="give a subclass of Target"):
        add_target(Objective)
    with pytest.raises(InputError, match="give an Objective"):
        add_loss("mine", halved, [MultiClass])
    with pytest.raises(InputError, match="has a loss 'cross_entropy' already"):
        add_loss("cross_entropy", replace(OWN, loss=halved), [MultiClass])

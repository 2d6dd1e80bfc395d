"""`check_algorithm` passes what keeps the contracts, and names what is broken in what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.testing.own_algorithm import EPISODES, Means
from torchcross.algorithms import MAML, ProtoNet, SimpleShot, certify, estimate
from torchcross.backbones import conv4
from torchcross.errors import InputError
from torchcross.targets import Prediction
from torchcross.testing import check_algorithm


def test_an_algorithm_of_ones_own_passes():
    check_algorithm(Means(), EPISODES)


@pytest.mark.long
@pytest.mark.parametrize("make", [ProtoNet, lambda net: MAML(net, steps=1), SimpleShot])
def test_ours_pass(make):
    check_algorithm(make(conv4(4, in_channels=1)), image=(1, 16))


class ChangesABuffer(Means):
    def adapt(self, support, task, **options):
        self.backbone[2].running_mean += 1
        return super().adapt(support, task, **options)


class ChangesTheMode(Means):
    def adapt(self, support, task, **options):
        self.backbone.train()
        return super().adapt(support, task, **options)


class LeavesGradients(Means):
    def training_step(self, episodes, **options):
        step = super().training_step(episodes, **options)
        step.loss.backward(retain_graph=True)
        return step


class ChangesImages(Means):
    def adapt(self, support, task, **options):
        support.x.add_(1)
        return super().adapt(support, task, **options)


class Draws(Means):
    def adapt(self, support, task, **options):
        noise = torch.randn(1)
        own = super().adapt(support, task, **options)
        return lambda images: own(images) + noise


class DrawsWithoutMoving(Means):
    def adapt(self, support, task, **options):
        with torch.random.fork_rng(devices=[]):
            noise = torch.randn(1)
        own = super().adapt(support, task, **options)
        return lambda images: own(images) + noise


class Remembers(Means):
    count = 0

    def adapt(self, support, task, **options):
        self.count += 1
        count, own = self.count, super().adapt(support, task, **options)
        return lambda images: own(images) + count


class SharesTensors(Means):
    def adapt(self, support, task, *, steps=None, seed=0, index=0):
        return lambda images: self.logits(self.backbone, support, task, images)


class Narrow(Means):
    def adapt(self, support, task, **options):
        count = task.target.num_classes

        def predict(images):
            wide = torch.zeros(len(images), count)
            return Prediction(wide, torch.zeros(len(images), *task.target.label_shape).long())

        return predict


class NoLogits(Means):
    def adapt(self, support, task, **options):
        return lambda images: "cat"


class NotANumber(Means):
    def training_step(self, episodes, **options):
        step = super().training_step(episodes, **options)
        return replace(step, loss=step.loss * float("nan"))


class OneLoss(Means):
    def training_step(self, episodes, **options):
        step = super().training_step(episodes, **options)
        return replace(step, losses=step.losses[:1])


class NothingLearned(Means):
    def training_step(self, episodes, **options):
        step = super().training_step(episodes, **options)
        return replace(step, loss=step.loss.detach())


class DependsOnTheOrder(Means):
    def training_step(self, episodes, **options):
        step = super().training_step(episodes, **options)
        return replace(step, losses=step.losses * torch.arange(1, len(episodes) + 1))


class StrangeBuffers(Means):
    def training_step(self, episodes, **options):
        step = super().training_step(episodes, **options)
        return replace(step, buffers={"moments": torch.zeros(1)})


class NoPlainProtocol(Means):
    def protocol(self):
        return {"network": self.backbone}


BROKEN = {
    ChangesABuffer: r"changed the buffer backbone\.2\.running_mean",
    ChangesTheMode: r"changed the mode \(train or eval\) of the layer backbone",
    LeavesGradients: r"training_step changed the gradient of backbone\.1\.weight",
    ChangesImages: "changed the images of the support of episode 0",
    Draws: "moved the global random generator of torch",
    DrawsWithoutMoving: "other states of the global random generators",
    Remembers: "adapted a second time, after another episode",
    SharesTensors: "a predictor changes when the algorithm is trained further",
    Narrow: "do not sum to 1",
    NoLogits: "the predictor gave str; give a Prediction",
    NotANumber: "gave the loss nan; give a finite scalar",
    OneLoss: r"losses of shape \(1,\) for 5 episodes",
    NothingLearned: "has no gradient, so nothing can be learned",
    DependsOnTheOrder: "other losses where the episodes come in another order",
    StrangeBuffers: r"new values for \['moments'\], and there are no such buffers",
    NoPlainProtocol: "no plain JSON",
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_what_is_broken_is_named(kind):
    with pytest.raises(AssertionError, match=BROKEN[kind]) as caught:
        check_algorithm(kind(), [replace_images(each) for each in EPISODES])
    assert kind.__name__ in str(caught.value) or "moved the global" in str(caught.value)


def test_a_gradient_that_was_there_already_is_compared():
    algorithm = LeavesGradients()
    for value in algorithm.parameters():
        value.grad = torch.zeros_like(value)
    with pytest.raises(AssertionError, match="training_step changed the gradient of backbone"):
        check_algorithm(algorithm, EPISODES)


def test_no_number_is_not_zero():
    class Spoils(Means):
        def adapt(self, support, task, **options):
            self.backbone[1].bias.data.fill_(torch.nan)
            return super().adapt(support, task, **options)

    with pytest.raises(AssertionError, match=r"changed the parameter backbone\.1\.bias"):
        check_algorithm(Spoils(), EPISODES)


def replace_images(episode):
    """With images of its own, since one of the broken ones writes into them."""
    return replace(episode, support=episode.support.map(torch.clone))


def test_an_algorithm_that_only_adapts_needs_no_step():
    algorithm = NothingLearned()
    check_algorithm(algorithm, EPISODES, trains=False)
    with pytest.raises(InputError, match="give at least two"):
        check_algorithm(algorithm, EPISODES[:1])


def test_certify_and_estimate_take_an_algorithm_of_ones_own():
    assert certify(Means(), EPISODES[:2]).holds
    assert estimate(Means(), EPISODES[:2]).peak > 0

    class KeepsItsType(Means):
        def logits(self, backbone, support, task, images):
            return task.target.prototype_logits(-backbone(images / 255).square())

    with pytest.raises(InputError, match=r"KeepsItsType in float64.*to the type of its param"):
        certify(KeepsItsType(), EPISODES[:2])
    with pytest.raises(InputError, match="give a list of them"):
        estimate(Means(), EPISODES[0])

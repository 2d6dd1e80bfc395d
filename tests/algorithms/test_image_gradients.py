"""Gradients reach the images that require them, and are those of finite differences."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from tests.algorithms.cases import TARGETS, Net, episode_of, make_algorithm
from torchcross.algorithms import MAML
from torchcross.episode import Batch

EPISODE = episode_of(TARGETS["multiclass"], seed=1)
OF_META_LOSS = (
    *("maml", "maml-low-memory", "maml-mixed", "maml-first-order", "maml-running"),
    *("maml++weights", "anil", "anil-proto", "proto-maml", "imaml"),
    *("protonet-support", "ridge", "fine-tune"),
)


def differences(loss, images, size=1e-5):
    """The central difference of `loss(images)` at one pixel of each of three images."""
    slopes = []
    for image in range(3):
        values = []
        for sign in (1, -1):
            moved = images.detach().clone()
            moved[image, 0, 1, 2] += sign * size
            values.append(float(loss(moved)))
        slopes.append((values[0] - values[1]) / (2 * size))
    return torch.tensor(slopes, dtype=images.dtype)


def assert_slopes(loss, images, rtol=1e-5):
    leaf = images.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), [leaf])
    assert gradient.abs().max() > 0
    expected = differences(lambda moved: loss(moved).detach(), images)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(gradient[:3, 0, 1, 2], expected, rtol=rtol, atol=1e-5 * scale)


@pytest.mark.parametrize("norm", ["frozen", "batch", "support", "running"])
def test_a_predictor_has_the_gradients_of_the_plain_module(norm):
    predictor = MAML(Net(), steps=2, norm=norm).adapt(EPISODE.support, EPISODE.task)
    images = EPISODE.query.x
    assert_slopes(lambda x: predictor.logits(x).square().sum(), images)
    assert_slopes(lambda x: predictor(x).probabilities[:, 0].sum(), images)
    for call in (predictor, predictor.logits, predictor.features):
        output = call(images)
        assert not getattr(output, "probabilities", output).requires_grad
        with torch.no_grad():
            output = call(images.clone().requires_grad_())
        assert not getattr(output, "probabilities", output).requires_grad
    if norm != "batch":
        return
    module = Net().train()
    tensors, leaf = predictor.tensors, images.clone().requires_grad_()
    features = torch.func.functional_call(module, dict(tensors["params"]), (leaf,))
    logits = F.linear(features, tensors["head"]["head.weight"], tensors["head"]["head.bias"])
    (expected,) = torch.autograd.grad(logits.square().sum(), [leaf])
    (gradient,) = torch.autograd.grad(predictor.logits(leaf).square().sum(), [leaf])
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def with_images(part, images):
    batch = Batch(images, getattr(EPISODE, part).y)
    return dataclasses.replace(EPISODE, **{part: batch})


def is_exact(name):
    return name not in ("maml-first-order", "fine-tune", "imaml")


@pytest.mark.slow
@pytest.mark.parametrize("part", ["support", "query"])
@pytest.mark.parametrize("name", OF_META_LOSS)
def test_the_images_of_an_episode_get_gradients(name, part):

    learner = make_algorithm(name, "multiclass")

    def loss(images):
        return learner.meta_loss([with_images(part, images)], epoch=5)

    images = getattr(EPISODE, part).x
    if part == "query" or is_exact(name):
        assert_slopes(loss, images, rtol=1e-4)
    else:
        leaf = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf), [leaf])
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["maml", "maml-low-memory", "anil", "protonet"])
def test_lanes_give_the_images_the_same_gradients(name):
    gradients = []
    for lanes in ("loop", 2):
        learner = make_algorithm(name, "multiclass")
        learner.lanes = lanes
        leaves = [
            episode_of(TARGETS["multiclass"], seed=seed).support.x.requires_grad_()
            for seed in (0, 1)
        ]
        episodes = [with_images("support", leaf) for leaf in leaves]
        gradients.append(torch.autograd.grad(learner.meta_loss(episodes), leaves))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


def test_gradients_pass_through_the_normalisation():
    class Halves:
        mean, std = (0.2,), (0.5,)

    learner = MAML(Net(), steps=1, normalise=Halves)
    assert_slopes(lambda x: learner.meta_loss([with_images("query", x)]), EPISODE.query.x)

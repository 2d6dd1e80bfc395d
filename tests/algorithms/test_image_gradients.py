"""Gradients reach the images that require them, and are those of finite differences."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from tests.algorithms.cases import TARGETS, Net, episode_of, make_algorithm
from torchcross.algorithms import IMAML, MAML, Reptile, load_predictor
from torchcross.episode import Batch
from torchcross.errors import InputError

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


OF_ADAPT = ("maml", "maml-adam", "maml-running", "maml-support", "maml++weights", "anil")
OF_ADAPT += ("proto-maml", "imaml", "meta-sgd", "protonet-support", "ridge", "linear-probe")
OF_ADAPT += ("logistic-mean", "simple-shot")


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_ADAPT)
def test_a_predictor_is_differentiable_in_the_images_it_was_adapted_to(name, tmp_path):
    learner = make_algorithm(name, "multiclass")

    def loss(images):
        predictor = learner.adapt(Batch(images, EPISODE.support.y), EPISODE.task)
        return predictor.logits(EPISODE.query.x).square().sum()

    assert_slopes(loss, EPISODE.support.x, rtol=1e-4)
    images = EPISODE.support.x.clone().requires_grad_()
    whole = learner.adapt(Batch(images, EPISODE.support.y), EPISODE.task)
    plain = learner.adapt(EPISODE.support, EPISODE.task)
    with torch.no_grad():
        still = learner.adapt(Batch(images, EPISODE.support.y), EPISODE.task)
    outputs = [predictor.logits(EPISODE.query.x) for predictor in (whole, plain, still)]
    assert [output.requires_grad for output in outputs] == [True, False, False]
    torch.testing.assert_close(outputs[0].detach(), outputs[1], rtol=1e-7, atol=1e-9)
    assert torch.equal(outputs[1], outputs[2])
    assert not any(value.grad is not None for value in learner.parameters())
    whole.save(tmp_path / "predictor.safetensors")
    loaded = load_predictor(tmp_path / "predictor.safetensors", Net())
    assert torch.equal(loaded.logits(EPISODE.query.x), outputs[0].detach())


def test_a_start_at_prototypes_that_is_kept_near_has_no_gradient():
    images = EPISODE.support.x.clone().requires_grad_()
    with pytest.raises(InputError, match="IMAML keeps near a start that depends on them"):
        IMAML(Net(), steps=2, head="proto").adapt(Batch(images, EPISODE.support.y), EPISODE.task)


@pytest.mark.parametrize("part", ["support", "query"])
def test_reptile_refuses_images_that_require_gradients(part):
    batch = getattr(EPISODE, part)
    leaf = dataclasses.replace(batch, x=batch.x.detach().clone().requires_grad_())
    episode = dataclasses.replace(EPISODE, **{part: leaf})
    with pytest.raises(InputError, match=r"its images require gradients, and Reptile's"):
        Reptile(Net(), steps=1).meta_loss([episode])
    with torch.no_grad():
        Reptile(Net(), steps=1).meta_loss([episode])

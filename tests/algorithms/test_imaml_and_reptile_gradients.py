"""iMAML's meta-gradient solves its linear equation, and Reptile's is the way back to the start."""

import copy
from functools import partial

import pytest
import torch

from tests.algorithms.cases import TARGETS, Net, episode_of, relative
from tests.algorithms.gradients_by_hand import (
    EXACT,
    all_targets,
    features_of,
    logits_of,
    random_head,
)
from torchcross.algorithms import IMAML, MAML, InnerLoopRecipe, Reptile
from torchcross.errors import InputError
from torchcross.functional import Implicit
from torchcross.heads import kaiming_head, seeded_generator


@pytest.mark.long
@pytest.mark.parametrize("target", ["multiclass", "multilabel", "ordinal-coral"])
def test_imaml_at_the_solution(target):
    """At the solution, (I + H/s) times the meta-gradient is the query loss's own gradient."""
    episode, kind, strength = episode_of(TARGETS[target]), TARGETS[target], 2.0
    algorithm = IMAML(Net(), strength=strength, steps=250, lr=0.15, iterations=60, head="kaiming")
    algorithm.meta_loss([episode]).backward()
    net = copy.deepcopy(algorithm.backbone)
    tensors = algorithm.adapt(episode.support, episode.task).tensors
    end = {
        name: value.requires_grad_()
        for name, value in {**tensors["params"], **tensors["head"]}.items()
    }

    def loss_at(batch):
        return kind.loss(logits_of(kind, features_of(net, end, batch.x), end), batch.y)

    inner = torch.autograd.grad(loss_at(episode.support), list(end.values()), create_graph=True)
    start = {**dict(net.named_parameters()), **random_head(kind)}
    for (name, value), grad in zip(end.items(), inner, strict=True):
        torch.testing.assert_close(grad, strength * (start[name] - value), rtol=1e-5, atol=1e-8)
    # The head's part of the meta-gradient is not handed out; it is what the head's rows of the
    # equation say.
    outer = torch.autograd.grad(loss_at(episode.query), list(end.values()))
    size = sum(value.numel() for value in end.values())
    hessian = torch.stack(
        [
            torch.cat(
                [
                    part.flatten()
                    for part in torch.autograd.grad(entry, list(end.values()), retain_graph=True)
                ]
            )
            for entry in torch.cat([grad.flatten() for grad in inner])
        ]
    )
    solution = torch.linalg.solve(
        torch.eye(size, dtype=torch.float64) + hessian / strength,
        torch.cat([part.flatten() for part in outer]),
    )
    found = torch.cat([value.grad.flatten() for value in algorithm.backbone.parameters()])
    assert relative(found, solution[: len(found)]) < 1e-5


def test_maml_with_the_implicit_engine_adapts_to_the_problem_that_it_trains():
    episode, options = episode_of(TARGETS["multiclass"]), {"steps": 3, "lr": 0.05}
    implicit, imaml, plain = (
        make(Net(), **options).adapt(episode.support, episode.task)
        for make in (partial(MAML, engine=Implicit(2.0, 5)), partial(IMAML, strength=2.0), MAML)
    )
    logits = implicit.logits(episode.query.x)
    assert torch.equal(logits, imaml.logits(episode.query.x))
    assert not torch.allclose(logits, plain.logits(episode.query.x))
    with pytest.raises(InputError, match=r"proximal=3.0 and engine 'implicit' of strength 1.0"):
        InnerLoopRecipe("MAML", 1, 0.1, engine="implicit", proximal=3.0)


@all_targets
def test_reptile_hands_back_the_way(target):
    episodes = [episode_of(TARGETS[target], seed) for seed in (0, 1)]
    algorithm = Reptile(Net(), steps=3, lr=0.05, optimiser="sgd", head="kaiming")
    algorithm.meta_loss(episodes).backward()
    ways = []
    for episode in episodes:
        params = dict(algorithm.backbone.named_parameters())
        params |= kaiming_head(
            TARGETS[target],
            4,
            generator=seeded_generator(0, "head", episode.plan.index),
            dtype=torch.float64,
        )
        images = torch.cat([episode.support.x, episode.query.x])
        labels = torch.cat([episode.support.y, episode.query.y])
        for _ in range(3):
            at = {name: value.detach().requires_grad_() for name, value in params.items()}
            features = features_of(algorithm.backbone, at, images)
            loss = TARGETS[target].loss(logits_of(TARGETS[target], features, at), labels)
            grads = torch.autograd.grad(loss, list(at.values()))
            params = {name: at[name] - 0.05 * grad for name, grad in zip(at, grads, strict=True)}
        ways.append(params)
    for name, value in algorithm.backbone.named_parameters():
        expected = torch.stack([value - way[name] for way in ways]).mean(0)
        torch.testing.assert_close(value.grad, expected, rtol=EXACT, atol=1e-12)

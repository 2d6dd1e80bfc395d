"""Meta-gradients by hand: heads and an inner loop, written out, and torch's own tape."""

import pytest
import torch
from torch.func import functional_call

from tests.algorithms.cases import TARGETS
from torchcross.heads import kaiming_head, seeded_generator

EXACT = 1e-9


def features_of(net, params, images):
    """A forward in training or evaluation mode, on copies of the buffers."""
    buffers = {name: value.clone() for name, value in net.named_buffers()}
    own = {name: value for name, value in params.items() if not name.startswith("head.")}
    return functional_call(net, {**own, **buffers}, (images,))


def logits_of(target, features, params):
    """The three layouts of a head, by hand."""
    scores = features @ params["head.weight"].T
    if target.loss_name == "cumulative_link":
        return torch.cat([scores, params["head.bias"].expand(len(scores), -1)], 1)
    return scores + params["head.bias"]


def head_shape(target):
    """(rows of weights, biases)."""
    rows = {"coral": 1, "cumulative_link": 1}.get(target.loss_name, target.num_outputs)
    return rows, target.num_outputs - (target.loss_name == "cumulative_link")


def zeros_head(target):
    rows, biases = head_shape(target)
    return {"head.weight": torch.zeros(rows, 4).double(), "head.bias": torch.zeros(biases).double()}


def random_head(target):
    return kaiming_head(target, 4, generator=seeded_generator(0, "head", 0), dtype=torch.float64)


def means_head(target):
    """W_c = 2 mu_c, b_c = -|mu_c|^2, and their differences for one logit and yes/no answers."""

    def head(net, params, episode):
        x, y = features_of(net, params, episode.support.x), episode.support.y
        if target.label_shape:
            pairs = [
                [x[y[:, label] == answer].mean(0) for answer in (1, 0)]
                for label in range(y.shape[1])
            ]
            weight = torch.stack([2 * (yes - no) for yes, no in pairs])
            bias = torch.stack([no @ no - yes @ yes for yes, no in pairs])
        else:
            means = torch.stack([x[y == code].mean(0) for code in range(target.num_classes)])
            weight, bias = 2 * means, -(means * means).sum(1)
            if target.num_outputs == 1:
                weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        return {"head.weight": weight, "head.bias": bias}

    return head


def plain_loss(
    net,
    episode,
    *,
    steps,
    head,
    rate=lambda name, k: 0.1,
    adapted=lambda name: True,
    order=2,
    momentum=0.0,
):
    """The query loss after `steps` updates, differentiable in the net's parameters."""
    target, params = episode.task.target, dict(net.named_parameters())
    params |= head(net, params, episode) if callable(head) else head
    # Views: a head that was made of the parameters is a parameter of its own to the inner gradient.
    params = {
        name: value if value.requires_grad else value.clone().requires_grad_()
        for name, value in params.items()
    }
    params = {name: value.view_as(value) for name, value in params.items()}
    velocity = dict.fromkeys(params, 0.0)
    for k in range(steps):
        loss = target.loss(
            logits_of(target, features_of(net, params, episode.support.x), params),
            episode.support.y,
        )
        moving = [name for name in params if adapted(name)]
        at = [params[name] for name in moving]
        grads = torch.autograd.grad(loss, at, create_graph=order == 2, retain_graph=True)
        for name, grad in zip(moving, grads, strict=True):
            velocity[name] = grad + momentum * velocity[name]
            params[name] = params[name] - rate(name, k) * velocity[name]
    return target.loss(
        logits_of(target, features_of(net, params, episode.query.x), params), episode.query.y
    )


def check(algorithm, episode, reference, learned=(), tolerance=EXACT):
    targets = [
        *algorithm.backbone.named_parameters(),
        *((f"learned {at}", value) for at, value in enumerate(learned)),
    ]
    for _, value in targets:
        value.grad = None
    reference.backward()
    expected = [
        torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for _, value in targets
    ]
    algorithm.zero_grad(set_to_none=True)
    algorithm.meta_loss([episode]).backward()
    largest = max(float(grad.abs().max()) for grad in expected)
    assert largest > 1e-8
    for (name, value), grad in zip(targets, expected, strict=True):
        error = float((value.grad - grad).abs().max())
        assert error <= tolerance * max(float(grad.abs().max()), 1e-3 * largest), name


all_targets = pytest.mark.parametrize("target", TARGETS)

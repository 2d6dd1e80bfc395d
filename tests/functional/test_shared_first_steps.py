"""Steps that share the features of a zero head's start: the same gradient from a forward less."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from tests.functional.reference import Net, assert_close, data_of, head_of, losses_of
from tests.functional.test_engines import OPTIMISERS
from torchcross.functional import Inner, Meta, Network, Problem, Split, meta_gradient

STEPS = 3


class Counting:
    def __init__(self, network):
        self.network, self.forwards = network, 0

    def __call__(self, params, buffers, data, step):
        self.forwards += 1
        return self.network.support(params, buffers, data["xs"], step=step)


def top(params, features, data):
    return F.cross_entropy(
        F.linear(features, params["head.weight"], params["head.bias"]), data["ys"]
    )


def episode(kind="sgd", policy="batch", steps=STEPS, weights=None):
    network = Network(Net(), norm=policy)
    params, buffers = network.state(steps)
    body = Counting(network)
    _, query = losses_of(network)
    inner = Inner(
        Split(body, top),
        query,
        OPTIMISERS[kind](),
        steps,
        zero_head="head.*",
        query_weights=weights,
    )
    zero = {name: torch.zeros_like(value) for name, value in head_of().items()}
    rate = torch.tensor(0.05 if kind == "adam" else 0.3, dtype=torch.float64)
    return Problem(inner, data_of(0), zero), Meta(params, rate, buffers), body


def unshared(problem):
    plain = problem.inner.support

    def support(params, buffers, data, step):
        return plain(params, buffers, data, step)

    return dataclasses.replace(problem, inner=dataclasses.replace(problem.inner, support=support))


@pytest.mark.parametrize("engine", ["reverse", "first_order"])
@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("policy", ["frozen", "batch", "support"])
@pytest.mark.parametrize("weights", [None, (0.5, 0.25, 0.25)])
def test_sharing_changes_nothing(engine, kind, policy, weights):
    problem, meta, body = episode(kind, policy, weights=weights)
    shared = meta_gradient(problem, meta, engine=engine)
    forwards = body.forwards
    plain = meta_gradient(unshared(problem), meta, engine=engine)
    # Weight decay moves the body in the first step too, so nothing is shared.
    expected = STEPS if kind.endswith("/decay") else STEPS - 1
    assert (forwards, body.forwards - forwards) == (expected, STEPS)
    torch.testing.assert_close(shared.trace, plain.trace, rtol=1e-12, atol=0)
    assert_close(shared.params, plain.params)
    assert_close(shared.rates, plain.rates)


@pytest.mark.parametrize("policy", ["running", "per_step"])
def test_a_body_whose_buffers_move_is_not_shared(policy):
    problem, meta, _ = episode(policy=policy)
    shared, plain = meta_gradient(problem, meta), meta_gradient(unshared(problem), meta)
    assert_close(shared.params, plain.params)
    for name, value in plain.buffers.items():
        torch.testing.assert_close(shared.buffers[name], value)


def test_a_single_step_has_nothing_to_share():
    problem, meta, body = episode(steps=1)
    meta_gradient(problem, meta)
    assert body.forwards == 1

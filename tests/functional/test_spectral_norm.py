"""Spectral norm moves its vectors in training, as in the plain loop, and in no prediction."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.functional.plain_module import ENGINES, seeded
from tests.functional.reference import data_of
from tests.functional.training_mode import Given, assert_same, by_hand, problem_of
from torchcross.errors import InputError
from torchcross.functional import Network, meta_loss


class Spectral(nn.Module):
    def __init__(self):
        super().__init__()
        spectral_norm = nn.utils.parametrizations.spectral_norm
        self.conv, self.linear = spectral_norm(nn.Conv2d(1, 3, 3)), spectral_norm(nn.Linear(48, 4))
        with torch.no_grad():
            for layer in (self.conv, self.linear):
                vectors = layer.parametrizations.weight[0]
                # Far from the singular vectors, as after large steps.
                vectors._u.copy_(F.normalize(torch.arange(1.0, 1 + len(vectors._u)), dim=0))
                vectors._v.copy_(F.normalize(torch.arange(1.0, 1 + len(vectors._v)), dim=0))

    def forward(self, x):
        return self.linear(torch.tanh(self.conv(x)).flatten(1))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lanes", ["loop", 2])
def test_spectral_norm_moves_its_vectors_as_in_the_plain_loop(engine, lanes):
    module = seeded(Spectral)
    network = Network(module)
    problem, meta = problem_of(network, 0)
    assert problem.data["ms"] == {}
    leaves = {name: value.detach().requires_grad_() for name, value in meta.params.items()}
    problems = [problem] if lanes == "loop" else [problem, problem]
    meta = dataclasses.replace(meta, params=leaves)
    result = meta_loss(problems, meta, engine=engine, lanes=lanes)
    grads = torch.autograd.grad(result.loss, list(leaves.values()))
    module.train()
    given = Given(None)
    expected = by_hand(module, given, {**problem.data, "ms": {}, "mq": {}})
    assert_same(dict(zip(leaves, grads, strict=True)), expected)
    # `functional_call` was given parameters alone, so the module's own vectors have moved.
    assert_same(result.buffers[0], dict(module.named_buffers()))


def test_spectral_norm_does_not_move_in_predictions():
    module = seeded(Spectral)
    network, x = Network(module), data_of(0)["xs"]
    params, buffers = network.state()
    output, after = network.support(params, buffers, x)
    torch.testing.assert_close(output, module.eval()(x))
    assert all(after[name] is value for name, value in buffers.items())


def test_the_old_spectral_norm_is_refused():
    with torch.random.fork_rng(devices=[]):
        module = nn.Sequential(nn.utils.spectral_norm(nn.Linear(3, 3)))
    with pytest.raises(InputError, match=r"layer '0' has torch\.nn\.utils\.spectral_norm"):
        Network(module)

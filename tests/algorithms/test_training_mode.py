"""Algorithms run their backbone in training mode where they learn, and say so in their protocol."""

import pytest
import torch
from torch import nn

from tests.algorithms.cases import ALGORITHMS, TARGETS, Net, episode_of
from torchcross.algorithms import MAML, ProtoNet
from torchcross.episode import Episode

LEARNERS = [
    "maml",
    "maml-mixed",
    "anil",
    "proto-maml",
    "reptile",
    "imaml",
    "protonet",
    "ridge",
    "fine-tune",
]


class StochasticDepth(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        return x * torch.empty(len(x), 1, 1, 1, dtype=x.dtype).bernoulli_(0.5).div_(0.5)


class DeepNet(Net):
    def __init__(self):
        super().__init__()
        self.drop = StochasticDepth()


def episodes_of(count=3):
    return [episode_of(TARGETS["multiclass"], seed) for seed in range(count)]


@pytest.mark.parametrize("name", LEARNERS)
def test_stochastic_depth_is_on_and_belongs_to_the_episode(name):
    episodes = episodes_of()
    learner = ALGORITHMS[name](DeepNet(), TARGETS["multiclass"]).double()
    plain = ALGORITHMS[name](Net(), TARGETS["multiclass"]).double()
    assert learner.protocol()["training_mode"] == ["StochasticDepth"]
    assert plain.protocol()["training_mode"] == []
    state = torch.random.get_rng_state()
    losses = learner.training_step(episodes).losses
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.allclose(losses, plain.training_step(episodes).losses)
    assert torch.equal(losses.flip(0), learner.training_step(episodes[::-1]).losses)
    assert not torch.allclose(losses, learner.training_step(episodes, seed=1).losses)
    learner.lanes = 3
    together = learner.training_step(episodes).losses
    torch.testing.assert_close(losses, together, rtol=1e-9, atol=1e-12)


def test_predictions_are_in_evaluation_mode():
    episode = episodes_of(1)[0]
    learner, plain = ProtoNet(DeepNet()), ProtoNet(Net())
    outputs = [
        model.adapt(episode.support, episode.task).logits(episode.query.x)
        for model in (learner, plain)
    ]
    assert torch.equal(*outputs)


class Spectral(nn.Module):
    num_features = 4

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            spectral_norm = nn.utils.parametrizations.spectral_norm
            self.conv, self.linear = nn.Conv2d(1, 3, 3), spectral_norm(nn.Linear(48, 4))
        self.double()

    def forward(self, x):
        return self.linear(torch.tanh(self.conv(x)).flatten(1))

    @property
    def vectors(self):
        return self.linear.parametrizations.weight[0]


@pytest.mark.parametrize("build", [lambda net: MAML(net, steps=2, lr=0.1), ProtoNet])
def test_spectral_norm_keeps_the_norm_at_one_while_it_learns(build):
    """Without steps of the power method it would be far off after so much learning."""
    net, episodes = Spectral(), episodes_of(2)
    learner = build(net)
    # Neither has random numbers, so no plan is needed.
    bare = [Episode(episode.support, episode.query, episode.task) for episode in episodes]
    optimiser = torch.optim.SGD(learner.parameters(), 2.0)
    start = net.linear.weight.detach().clone()
    for _ in range(40):
        optimiser.zero_grad()
        step = learner.training_step(bare)
        step.loss.backward()
        optimiser.step()
        for name, value in step.buffers.items():
            learner.get_buffer(name).copy_(value)
    assert float((net.linear.weight - start).detach().norm()) > 0.3
    net.eval()
    assert float(torch.linalg.matrix_norm(net.linear.weight.detach(), 2)) == pytest.approx(
        1, abs=0.03
    )
    assert float(net.vectors._u.norm()) == pytest.approx(1.0, abs=1e-12)
    assert learner.protocol()["training_mode"] == ["_SpectralNorm"]

"""Running statistics are those of the sources after a training that did not move them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import torchcross as tx
from torchcross import backbones
from torchcross.algorithms import MAML, ProtoNet
from torchcross.data import Episodes
from torchcross.errors import InputError
from torchcross.targets import MultiClass
from torchcross.training import FitOptions, fit, renew_statistics


class Net(nn.Module):
    features = 4

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.early = nn.Dropout(0.5)
        self.conv = nn.Conv2d(1, 4, 3)
        self.after = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.after(self.conv(self.early(self.norm(x))))).mean((2, 3))


@pytest.fixture
def sampler():
    images = torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 3
    task = tx.Task("made up", MultiClass(["a", "b"]))
    return tx.EpisodeSampler(tx.TensorSource(images, [0, 1] * 20, task), shots=3, queries=2, seed=0)


@pytest.fixture
def episodes(sampler):
    read = Episodes(sampler)
    return [read[number] for number in range(5)]


def test_they_are_the_means_over_supports_and_queries(episodes):
    learner = ProtoNet(Net(), norm="batch")
    renew_statistics(learner, episodes)
    means = [part.x.mean() for episode in episodes for part in (episode.support, episode.query)]
    assert torch.allclose(learner.backbone.norm.running_mean, torch.stack(means).mean(), atol=1e-6)
    assert int(learner.backbone.norm.num_batches_tracked) == 10


def test_nothing_else_changes(episodes):
    learner = MAML(Net(), norm="batch")
    learner.backbone.norm.eval()
    momenta = learner.backbone.norm.momentum
    params = {name: value.clone() for name, value in learner.named_parameters()}
    state = torch.get_rng_state()
    renew_statistics(learner, episodes)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, params[name]) for name, value in learner.named_parameters())
    assert learner.backbone.norm.momentum == momenta
    assert learner.training
    assert not learner.backbone.norm.training


def test_they_are_the_same_for_the_same_weights_and_episodes(episodes):
    torch.manual_seed(0)
    learners = [MAML(Net(), norm="batch") for _ in range(2)]
    learners[1].load_state_dict(learners[0].state_dict())
    learners[1].backbone.norm.running_mean.fill_(7.0)
    for seed, learner in enumerate(learners):
        torch.manual_seed(seed)
        renew_statistics(learner, episodes)
    first, second = (learner.state_dict() for learner in learners)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_episode_that_cannot_be_read_leaves_them_as_they_were(episodes):
    def broken():
        yield episodes[0]
        raise OSError("gone")

    learner = MAML(Net(), norm="batch")
    with pytest.raises(OSError, match="gone"):
        renew_statistics(learner, broken())
    assert torch.equal(learner.backbone.norm.running_mean, torch.zeros(1))


def test_meta_training_under_batch_statistics_leaves_them_and_needs_this(sampler, episodes):
    learner = MAML(Net(), norm="batch", steps=1)
    fit(learner, sampler, FitOptions(steps=2, meta_batch=1), progress=False)
    assert torch.equal(learner.backbone.after.running_var, torch.ones(4))
    renew_statistics(learner, episodes)
    assert not torch.equal(learner.backbone.after.running_var, torch.ones(4))


def test_a_network_without_them_is_left_alone():
    renew_statistics(ProtoNet(nn.Flatten(), features=9), ())


def test_a_backbone_without_parameters(episodes):
    learner = ProtoNet(backbones.image_statistics(in_channels=1))
    renew_statistics(learner, episodes)
    assert learner.backbone.norm.running_mean.abs().max() > 0


class OwnNorm(nn.Module):
    """A normalising layer that is none of torch's."""

    def __init__(self):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(4))
        self.register_buffer("running_var", torch.ones(4))

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, training=self.training)


@pytest.mark.parametrize("layer", [OwnNorm(), nn.InstanceNorm2d(4, track_running_stats=True)])
def test_layers_that_it_does_not_renew_are_named(episodes, layer):
    net = Net()
    net.after = layer
    with pytest.raises(
        InputError, match=rf"Net has other layers.*'after' \({type(layer).__name__}"
    ):
        renew_statistics(ProtoNet(net, norm="batch"), episodes)
    assert torch.equal(net.norm.running_mean, torch.zeros(1))


@pytest.mark.parametrize(("what", "given"), [("no episodes", MAML(Net())), ("a Net", Net())])
def test_what_it_cannot_use_is_refused(what, given):
    with pytest.raises(InputError, match=what):
        renew_statistics(given, ())

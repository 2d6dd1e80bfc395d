"""Layers that normalise in a forward of their own follow the policy as torch's BatchNorm does."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.functional.reference import Net, data_of, head_of, losses_of
from torchcross.errors import InputError
from torchcross.functional import POLICIES, Inner, Meta, Network, Problem, meta_loss, sgd


class NormAndActivation(nn.BatchNorm2d):
    """BatchNorm, dropout and activation in one layer, as timm's layers of this kind are."""

    def __init__(self, channels):
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.Tanh()

    def forward(self, x):
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
        mean, variance = self.running_mean, self.running_var
        x = F.batch_norm(
            x, mean, variance, self.weight, self.bias, self.training, self.momentum, self.eps
        )
        return self.act(self.drop(x))


class OwnBuffers(nn.Module):
    """A normalisation of the user's own, which is no BatchNorm of torch's."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.ones(channels)),
            nn.Parameter(torch.ones(channels)),
        )
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        statistics = self.running_mean, self.running_var
        return torch.tanh(
            torch.batch_norm(
                x, self.weight, self.bias, *statistics, self.training, 0.1, 1e-5, False
            )
        )


class Derived(nn.BatchNorm2d):
    def forward(self, x):
        return torch.tanh(super().forward(x))


class LookAlike(Net):
    """`Net` with other layers for its BatchNorm, and the same tensors."""

    def __init__(self, kind):
        super().__init__()
        for name in ("norm1", "norm2"):
            plain = getattr(self, name)
            layer = kind(plain.num_features).double()
            layer.load_state_dict(plain.state_dict(), strict=kind is not OwnBuffers)
            setattr(self, name, layer)

    def forward(self, x):
        return self.norm2(self.conv2(self.norm1(self.conv1(x)))).mean((2, 3))


def gradients(module, norm, engine, lanes, steps=2):
    network = Network(module, norm=norm)
    inner = Inner(*losses_of(network), sgd(), steps)
    params, buffers = network.state(steps)
    problems = [Problem(inner, data_of(seed), head_of(seed=seed)) for seed in range(2)]
    leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
    result = meta_loss(problems, Meta(leaves, 0.3, buffers), engine=engine, lanes=lanes)
    grads = torch.autograd.grad(result.loss, list(leaves.values()))
    return dict(zip(leaves, grads, strict=True)), result.buffers


def assert_same(left, right):
    for name, value in right.items():
        torch.testing.assert_close(left[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [NormAndActivation, Derived, OwnBuffers])
@pytest.mark.parametrize("norm", POLICIES)
def test_layers_of_other_classes_are_batch_norms_by_what_they_do(kind, norm):
    _compare(kind, norm, "reverse", "loop")


@pytest.mark.parametrize("norm", ["batch", "running"])
@pytest.mark.parametrize(("engine", "lanes"), [("mixed", "loop"), ("reverse", 2)])
def test_they_are_so_under_every_kind_of_transform(norm, engine, lanes):
    _compare(NormAndActivation, norm, engine, lanes)


def _compare(kind, norm, engine, lanes):
    ours, our_buffers = gradients(LookAlike(kind), norm, engine, lanes)
    theirs, their_buffers = gradients(Net(), norm, engine, lanes)
    assert_same(ours, theirs)
    for left, right in zip(our_buffers, their_buffers, strict=True):
        assert_same(left, {name: value for name, value in right.items() if name in left})


class InPieces(nn.BatchNorm2d):
    """Each half of the batch with its own statistics."""

    def forward(self, x):
        return torch.cat([super(InPieces, self).forward(half) for half in x.chunk(2)])


def test_a_layer_may_normalise_more_than_once():
    layer = InPieces(3).double()
    x = torch.randn(6, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network = Network(layer, norm="running")
    output, buffers = network.support(*network.state(), x)
    expected = layer.train()(x)
    torch.testing.assert_close(output, expected)
    assert_same(buffers, dict(layer.named_buffers()))


class ByHand(nn.BatchNorm2d):
    def forward(self, x):
        return (x - x.mean((0, 2, 3), keepdim=True)) * self.weight.view(1, -1, 1, 1)


def test_a_layer_that_normalises_by_hand_is_refused():
    network = Network(nn.Sequential(nn.Conv2d(1, 2, 3), ByHand(2)))
    with pytest.raises(InputError, match=r"layer '1' is a ByHand.*does not call"):
        network.support(*network.state(), torch.randn(3, 1, 5, 5))


class Tracked(nn.Module):
    def __init__(self, kind=nn.InstanceNorm2d, **options):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = kind(4, affine=True, track_running_stats=True, **options)
        self.double()
        with torch.no_grad():
            self.norm.weight.copy_(torch.linspace(0.5, 1.5, 4))

    def forward(self, x):
        return self.norm(self.conv(x)).square().mean((2, 3))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_tracked_instance_norm_normalises_and_tracks(momentum):
    """torch's InstanceNorm does not move its statistics where its momentum is None."""
    module, x = Tracked(momentum=momentum), data_of(0)["xs"]
    network = Network(module, norm="running")
    params, buffers = network.state()
    output, moved = network.support(params, buffers, x)
    expected = module.train()(x)
    torch.testing.assert_close(output, expected)
    assert_same(moved, dict(module.named_buffers()))
    output, _ = network.query(params, moved, x, statistics={})
    torch.testing.assert_close(output, module.eval()(x))
    frozen = Network(module, norm="frozen")
    torch.testing.assert_close(frozen.support(*frozen.state(), x)[0], module(x))


@pytest.mark.parametrize("engine", ["reverse", "mixed", "recompute"])
@pytest.mark.parametrize("lanes", ["loop", 2])
def test_tracked_instance_norm_has_its_meta_gradient(engine, lanes):
    """Against torch's own operation, in a module that never tracks."""

    module = Tracked()
    conv, norm = module.conv, module.norm

    class Untracked(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = conv, nn.ParameterDict(norm.named_parameters())

        def forward(self, x):
            y = F.instance_norm(self.conv(x), None, None, self.norm["weight"], self.norm["bias"])
            return y.square().mean((2, 3))

    ours, _ = gradients(module, "batch", engine, lanes)
    theirs, _ = gradients(Untracked(), "batch", "reverse", "loop")
    assert_same(ours, theirs)


@pytest.mark.parametrize("norm", ["support", "per_step"])
def test_policies_that_say_nothing_of_single_images_are_refused(norm):
    with pytest.raises(InputError, match=r"layer 'norm' is a InstanceNorm2d that tracks"):
        Network(Tracked(), norm=norm)


@pytest.mark.parametrize("norm", ["frozen", "running"])
def test_a_network_that_is_one_batch_norm_reads_its_statistics(norm):
    layer = nn.BatchNorm2d(2).double()
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network = Network(layer, norm=norm)
    _, buffers = network.support(*network.state(), x)
    layer.train(norm == "running")(x)
    assert_same(buffers, dict(layer.named_buffers()))

"""BatchNorm folded away is the same function; removed, it is another one."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from torchcross import backbones
from torchcross.algorithms import ProtoNet
from torchcross.backbones import without_batch_norm
from torchcross.backbones.batch_norm_removal import Removal
from torchcross.errors import InputError

NETWORKS = {
    "conv4": lambda: backbones.conv4(8, seed=1),
    "resnet18": lambda: backbones.resnet18(seed=1, stem="small"),
    "resnet50": lambda: backbones.resnet50(seed=1, stem="small"),
    "mobilenet_v2": lambda: backbones.mobilenet_v2(seed=1, width=0.35),
}
IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def trained(name: str) -> nn.Module:
    """A network whose running statistics, scales and shifts are not those of a start."""
    network = NETWORKS[name]().double()
    generator = torch.Generator().manual_seed(2)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.weight.data, layer.running_var):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
            for value in (layer.bias.data, layer.running_mean):
                value.copy_(torch.rand(value.shape, generator=generator) - 0.5)
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_folding_is_evaluation_mode_and_nothing_else(name: str) -> None:
    network = trained(name)
    state = copy.deepcopy(network.state_dict())
    assert network.training
    folded = without_batch_norm(network, "fold", IMAGES)
    assert norms(folded) == 0 < norms(network)
    assert torch.allclose(folded(IMAGES), network.eval()(IMAGES), rtol=1e-9, atol=1e-9)
    assert folded.training
    assert folded.spec is None
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_removal_keeps_the_convolutions(name: str) -> None:
    network = trained(name)
    bare = without_batch_norm(network, "identity", IMAGES)
    assert norms(bare) == 0
    kept = dict(bare.named_parameters())
    original = {
        key: value
        for key, value in network.named_parameters()
        if not isinstance(network.get_submodule(key.rpartition(".")[0]), nn.BatchNorm2d)
    }
    assert kept.keys() == original.keys()
    assert all(torch.equal(kept[key], value) for key, value in original.items())
    assert not torch.allclose(bare(IMAGES), network.eval()(IMAGES))


def test_keep_is_a_copy() -> None:
    network = trained("conv4")
    copied = without_batch_norm(network, "keep", IMAGES)
    assert norms(copied) == norms(network)
    next(copied.parameters()).data.zero_()
    assert next(network.parameters()).abs().sum() > 0


def test_a_network_without_it_is_a_backbone_of_algorithms() -> None:
    folded = without_batch_norm(backbones.conv4(4, seed=0), "fold", IMAGES.float())
    assert ProtoNet(folded).features == 4


class Around(nn.Module):
    """The output of the convolution goes around its BatchNorm layer too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean += 1

    def forward(self, images):
        maps = self.conv(images)
        return (self.norm(maps) + maps).mean((2, 3))


@pytest.mark.parametrize("between", [nn.ReLU(), nn.ReLU(inplace=True), nn.MaxPool2d(2)])
def test_a_layer_between_convolution_and_norm_is_not_folded_away(between: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), between, nn.BatchNorm2d(4), nn.Flatten()).double()
    # All values are positive: the example alone does not show the activation.
    network[0].bias.data += 100
    with pytest.raises(InputError, match="2 does not follow a convolution of its own"):
        without_batch_norm(network, "fold", IMAGES)


def test_folding_that_changes_the_features_is_refused() -> None:
    network = Around().double()
    network.norm.eval()
    with pytest.raises(InputError, match="folding changes the features by"):
        without_batch_norm(network, "fold", IMAGES)
    assert network.training
    assert not network.norm.training


def test_the_layer_whose_output_folding_changes_is_named() -> None:
    class Scaled(nn.Conv2d):
        """A convolution that does more than its weights say."""

        def forward(self, images):
            return super().forward(images) * 2

    network = nn.Sequential(Scaled(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()).double()
    network[1].running_mean += 1
    with pytest.raises(InputError, match=r"folding changes the features by .* at 1:"):
        without_batch_norm(network, "fold", IMAGES)


class NormFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)

    def forward(self, images):
        return self.conv(self.norm(images)).mean((2, 3))


def test_what_cannot_be_folded_is_named() -> None:
    with pytest.raises(InputError, match="norm does not follow a convolution"):
        without_batch_norm(NormFirst().double(), "fold", IMAGES)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.raises(InputError, match="no running statistics"):
        without_batch_norm(network.double(), "fold", IMAGES)
    with pytest.raises(InputError, match="how='remove'"):
        without_batch_norm(network, "remove", IMAGES)


@pytest.mark.parametrize("how", ["fold", "identity", "keep"])
def test_inference_mode_changes_nothing(how: Removal) -> None:
    network = trained("conv4")
    expected = without_batch_norm(network, how, IMAGES).eval()(IMAGES)
    with torch.inference_mode():
        inside = without_batch_norm(network, how, IMAGES * 1)
    assert torch.equal(inside.eval()(IMAGES), expected)
    assert not any(parameter.is_inference() for parameter in inside.parameters())


def test_a_network_that_was_made_in_inference_mode() -> None:
    with torch.inference_mode():
        network = trained("conv4")
        folded = without_batch_norm(network, "fold", IMAGES)
        assert torch.allclose(folded(IMAGES), network.eval()(IMAGES), rtol=1e-9, atol=1e-9)

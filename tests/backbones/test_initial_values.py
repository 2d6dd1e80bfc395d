import math

import pytest
import torch

from tests.backbones.small_backbones import SMALL, same, values
from torchcross import backbones
from torchcross.backbones.base import assemble
from torchcross.backbones.conv4 import Conv4
from torchcross.errors import InputError


@pytest.mark.parametrize("kind", SMALL)
def test_the_global_generator_is_neither_read_nor_moved(kind):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(1)
        first = values(SMALL[kind]())
        before = torch.random.manual_seed(2).get_state()
        second = values(SMALL[kind]())
        assert torch.equal(before, torch.random.get_rng_state())
    assert same(first, second)
    assert all(value.isfinite().all() for value in first.values()), "a tensor was left as it came"


def test_a_seed_decides_and_a_generator_moves():
    assert not same(values(backbones.conv4(8, seed=1)), values(backbones.conv4(8, seed=2)))
    generator = torch.Generator().manual_seed(1)
    first, second = (values(backbones.conv4(8, seed=generator)) for _ in range(2))
    assert same(first, values(backbones.conv4(8, seed=1)))
    assert not same(first, second)


def test_convolutions_start_as_in_torchvision():
    backbone = backbones.resnet18()
    for name, layer in backbone.named_modules():
        if isinstance(layer, torch.nn.Conv2d):
            fan_out = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
            wanted = math.sqrt(2 / fan_out)
            assert abs(layer.weight.std().item() / wanted - 1) < 0.05, name
            assert abs(layer.weight.mean().item()) < 0.05 * wanted, name
        elif isinstance(layer, torch.nn.BatchNorm2d):
            ones, zeros = (layer.weight, layer.running_var), (layer.bias, layer.running_mean)
            assert all((value == 1).all() for value in ones)
            assert all((value == 0).all() for value in (*zeros, layer.num_batches_tracked))


def test_the_transformer_starts_as_torchvisions():
    vit = backbones.small_vit(depth=2)
    layer = vit.encoder.layers[0]
    assert (vit.class_token == 0).all()
    assert abs(vit.encoder.pos_embedding.std().item() / 0.02 - 1) < 0.05
    assert abs(vit.conv_proj.weight.std().item() * math.sqrt(3 * 8 * 8) - 1) < 0.05
    bound = math.sqrt(6 / (192 + 768))
    assert 0.99 * bound < layer.mlp[0].weight.abs().max().item() <= bound
    bound = math.sqrt(6 / (192 + 3 * 192))
    assert 0.99 * bound < layer.self_attention.in_proj_weight.abs().max().item() <= bound
    assert 1e-7 < layer.mlp[3].bias.std().item() < 2e-6


def test_the_default_device_and_number_format_are_kept():
    with torch.device("meta"):
        assert backbones.conv4(8).layers[0].conv.weight.is_meta
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert next(backbones.conv4(8).parameters()).dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "0", None])
def test_a_seed_is_an_integer_or_a_generator(seed):
    with pytest.raises(InputError, match="seed="):
        backbones.conv4(8, seed=seed)


def test_a_wrong_seed_is_found_before_anything_is_built():
    def architecture(**_options):
        raise AssertionError("built")

    with pytest.raises(InputError):
        assemble("conv4", architecture, -1)
    assert Conv4.__final__

"""torch's own random layers do what their formulas say, given draws of the right distribution."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.functional.plain_module import seeded
from torchcross.functional import Network


def alpha(x, keep):
    p, least = 0.5, -1.7580993408473766
    scale = ((1 - p) * (1 + p * least**2)) ** -0.5
    return scale * (torch.where(keep, x, torch.full_like(x, least)) - p * least)


@pytest.mark.parametrize(
    ("layer", "shape", "mask_shape", "formula"),
    [
        (nn.Dropout(), (3, 4), (3, 4), lambda x, keep: x * keep / 0.5),
        (nn.Dropout1d(), (3, 4, 5), (3, 4, 1), lambda x, keep: x * keep / 0.5),
        (nn.Dropout1d(), (4, 5), (4, 1), lambda x, keep: x * keep / 0.5),
        (nn.Dropout2d(), (3, 4, 5, 5), (3, 4, 1, 1), lambda x, keep: x * keep / 0.5),
        (nn.Dropout3d(), (3, 4, 2, 2, 2), (3, 4, 1, 1, 1), lambda x, keep: x * keep / 0.5),
        (nn.Dropout3d(), (4, 2, 2, 2), (4, 1, 1, 1), lambda x, keep: x * keep / 0.5),
        (nn.Dropout(1.0), (3, 4), (3, 4), lambda x, keep: torch.zeros_like(x)),
        (nn.AlphaDropout(), (3, 4), (3, 4), alpha),
        (nn.FeatureAlphaDropout(), (3, 4, 5), (3, 4, 1), alpha),
        (
            nn.RReLU(),
            (3, 4),
            (3, 4),
            lambda x, u: torch.where(x > 0, x, x * (1 / 8 + (1 / 3 - 1 / 8) * u)),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_random_layers_of_torch(layer, shape, mask_shape, formula):
    network = Network(layer)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    masks = network.masks({}, {}, x, seed=0, episode=0, part=0)
    (mask,) = masks.values()
    assert mask.shape == (1, *mask_shape)
    output, _ = network.support({}, {}, x, masks=masks)
    torch.testing.assert_close(output, formula(x, mask[0]))


def test_numbers_have_the_distribution_that_torch_draws():
    """Alpha dropout keeps mean and variance; the shares and ranges of the others are theirs."""
    x = torch.randn(200, 500, generator=torch.Generator().manual_seed(0))
    for layer, moments in (
        (nn.AlphaDropout(0.3), (0.0, 1.0)),
        (nn.Dropout(0.3), (0.0, 1 / 0.7)),
        (Drawn(lambda: torch.randn(200, 500)), (0.0, 1.0)),
        (Drawn(lambda: torch.rand(200, 500)), (0.5, 1 / 12)),
        (Drawn(lambda: torch.empty(200, 500).uniform_(-1, 3)), (1.0, 16 / 12)),
        (Drawn(lambda: torch.empty(200, 500).normal_(2, 3)), (2.0, 9.0)),
        (Drawn(lambda: torch.empty(200, 500).exponential_(2.0)), (0.5, 0.25)),
        (Drawn(lambda: torch.bernoulli(torch.full((200, 500), 0.2))), (0.2, 0.16)),
        (Drawn(lambda: torch.ones(200, 500).bernoulli(0.2)), (0.2, 0.16)),
    ):
        network = Network(layer)
        masks = network.masks({}, {}, x, seed=0, episode=0, part=0)
        output, _ = network.support({}, {}, x, masks=masks)
        found = float(output.mean()), float(output.var())
        assert found == pytest.approx(moments, abs=0.02 * max(1.0, moments[1])), layer


class Drawn(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def forward(self, x):
        return self.draw().to(x.dtype) if self.training else x


class Attention(nn.Module):
    """Attention whose weights are dropped inside torch's own function."""

    def __init__(self, rate, *, needs_weights):
        super().__init__()
        self.layer = nn.MultiheadAttention(4, 2, dropout=rate, batch_first=True)
        self.needs_weights = needs_weights

    def forward(self, x):
        return self.layer(x, x, x, need_weights=self.needs_weights)[0]


@pytest.mark.parametrize("needs_weights", [True, False])
def test_dropout_of_attention_weights(needs_weights):
    module = seeded(lambda: Attention(0.4, needs_weights=needs_weights))
    network = Network(module)
    params, buffers = network.state()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    masks = network.masks(params, buffers, x, seed=0, episode=0, part=0)
    (keep,) = masks.values()
    output, _ = network.support(params, buffers, x, masks=masks)
    layer = module.layer
    parts = F.linear(x, layer.in_proj_weight, layer.in_proj_bias).chunk(3, -1)
    q, k, v = (part.unflatten(-1, (2, 2)).transpose(1, 2) for part in parts)
    weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(2), -1)
    weights = weights * keep[0].view_as(weights) / 0.6
    expected = layer.out_proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(network.support(params, buffers, x)[0], module.eval()(x))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"attn_mask": torch.ones(5, 5, dtype=torch.bool).tril()},
        {"attn_mask": torch.linspace(-1, 1, 25, dtype=torch.float64).view(5, 5)},
        {"scale": 0.3},
        {"enable_gqa": True},
    ],
)
def test_attention_without_its_dropout_is_torchs(options):
    """The written-out attention with a rate so small that its masks drop nothing."""
    rate = 1e-12

    class Attended(nn.Module):
        def forward(self, q, k, v):
            p = rate if self.training else 0.0
            return F.scaled_dot_product_attention(q, k, v, dropout_p=p, **options)

    network, generator = Network(Attended()), torch.Generator().manual_seed(0)
    heads = 2 if "enable_gqa" in options else 4
    q, k, v = (
        torch.randn(3, count, 5, 6, generator=generator, dtype=torch.float64)
        for count in (4, heads, heads)
    )
    masks = network.masks({}, {}, q, k, v, seed=0, episode=0, part=0)
    assert masks
    output, _ = network.support({}, {}, q, k, v, masks=masks)
    torch.testing.assert_close(output, network.support({}, {}, q, k, v)[0])

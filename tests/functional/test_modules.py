"""Modules as people write them: the meta-gradient is that of the module itself in a plain loop."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.functional.plain_module import ENGINES, assert_close, by_hand, problem_of, seeded
from tests.functional.reference import data_of
from torchcross.errors import InputError
from torchcross.functional import Network, meta_gradient


class Shared(nn.Module):
    """One BatchNorm at two places, and a pool after the first alone."""

    def __init__(self):
        super().__init__()
        norm = nn.BatchNorm2d(4)
        first = (nn.Conv2d(1, 4, 3, padding=1), norm, nn.ReLU(), nn.MaxPool2d(2))
        self.body = nn.Sequential(*first, nn.Conv2d(4, 4, 3, padding=1), norm, nn.Tanh())

    def forward(self, x):
        return self.body(x).mean((2, 3))


class Tapped(nn.Module):
    """Reads a sequence by slice, index and iteration."""

    def __init__(self, normed):
        super().__init__()
        norm = (nn.BatchNorm2d(2),) if normed else ()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2))

    def forward(self, x):
        early = self.body[:-1](x)
        late = x
        for layer in self.body:
            late = layer(late)
        return torch.cat(
            [early.mean((2, 3)), self.body[-1](early).mean((2, 3)) + late.mean((2, 3))], 1
        )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "build", [Shared, lambda: Tapped(normed=True), lambda: Tapped(normed=False)]
)
def test_sequences_are_read_as_they_were_written(build, engine):
    module = seeded(build)
    assert_close(meta_gradient(*problem_of(module), engine=engine).params, by_hand(module))


def test_a_hooked_layer_sees_what_it_saw():
    seen = []
    sequence = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)
    ).double()
    sequence[0].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    sequence[2].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    network = Network(sequence)
    network.support(*network.state(), data_of(0)["xs"])
    assert set(seen) == {(6, 2, 4, 4)}


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells = kind(6, 4, batch_first=True)

    def forward(self, x):
        return self.cells(x[:, 0])[0].mean(1)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_recurrent_layers_run_on_the_parameters_given(kind):
    module = seeded(lambda: Recurrent(kind))
    assert_close(meta_gradient(*problem_of(module)).params, by_hand(module))


class Encoder(nn.Module):
    def __init__(self, rate, attention=0.0):
        super().__init__()
        self.patches = nn.Conv2d(1, 4, 2, 2)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=rate, batch_first=True)
        self.layer.self_attn.dropout = attention

    def forward(self, x):
        return self.layer(self.patches(x).flatten(2).transpose(1, 2)).mean(1)


def test_dropout_inside_a_transformer_layer_is_applied_with_gradients_and_without():
    network, plain = Network(seeded(lambda: Encoder(0.4))), Network(seeded(lambda: Encoder(0.0)))
    params, buffers = network.state()
    x = data_of(0)["xs"]
    masks = network.masks(params, buffers, x, seed=0, episode=0, part=0)
    assert {key: tuple(mask.shape) for key, mask in masks.items()} == {
        "layer.dropout1#0": (1, 6, 9, 4),
        "layer.dropout#0": (1, 6, 9, 8),
        "layer.dropout2#0": (1, 6, 9, 4),
    }
    with sdpa_kernel(SDPBackend.MATH):
        output, _ = network.support(params, buffers, x, masks=masks)
        with torch.no_grad():
            still, _ = network.support(params, buffers, x, masks=masks)
            without, _ = plain.support(params, buffers, x)
    torch.testing.assert_close(output, still)
    assert float((still - without).abs().max()) > 0.01


def test_dropout_that_cannot_be_applied_is_refused():
    def build(*sizes, **options):
        return nn.GRU(*sizes, num_layers=2, dropout=0.5, **options)

    with pytest.raises(InputError, match=r"'cells' is a GRU with dropout=0\.5"):
        Network(Recurrent(build))


class Weighted(nn.Module):
    def __init__(self, dims=(0, 1)):
        super().__init__()
        weight_norm = nn.utils.parametrizations.weight_norm
        self.inner = weight_norm(nn.Conv2d(1, 3, 3), dim=dims[0])
        self.outer = weight_norm(nn.Conv2d(3, 4, 2), dim=dims[1])

    def forward(self, x):
        return torch.tanh(self.outer(torch.tanh(self.inner(x)))).mean((2, 3))


@pytest.mark.parametrize("dims", [(0, 0), (1, 3), (None, 0)])
def test_weight_norm_is_torchs_with_a_right_second_derivative(dims):
    module = seeded(lambda: Weighted(dims))
    network = Network(module)
    params, buffers = network.state()
    x = data_of(0)["xs"][:2]
    torch.testing.assert_close(
        network.support(params, buffers, x)[0], module(x), rtol=1e-12, atol=1e-12
    )

    def output(*values):
        return network.support(dict(zip(params, values, strict=True)), buffers, x)[0]

    assert torch.autograd.gradgradcheck(output, tuple(params.values()))


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 4, 6), nn.BatchNorm2d(4), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(torch.tanh(self.norm(self.conv(x)))).flatten(1)


@pytest.mark.parametrize("norm", ["frozen", "batch", "support", "running", "per_step"])
def test_masks_need_no_statistics(norm):
    network = Network(seeded(Tiny), norm=norm)
    params, buffers = network.state(steps=2)
    if norm == "per_step":
        params = {
            name: value.expand(3, -1) if "norm" in name else value for name, value in params.items()
        }
    masks = network.masks(params, buffers, data_of(0)["xq"][:1], seed=0, episode=0, part=1)
    assert {key: tuple(mask.shape) for key, mask in masks.items()} == {"drop#0": (1, 1, 4, 1, 1)}


def test_hard_sigmoid_has_a_second_derivative():
    network = Network(nn.Hardsigmoid())
    x = torch.tensor([-4.0, -1.0, 0.5, 2.0, 5.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(network.support({}, {}, x)[0], F.hardsigmoid(x))
    assert torch.autograd.gradgradcheck(lambda x: network.support({}, {}, x)[0].square(), (x,))


class Keyword(nn.Module):
    """Calls each layer by the name that torch gives its argument."""

    def __init__(self, gate=nn.Tanh, drop=0.0):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.body = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.gate, self.drop = gate(), nn.Dropout(drop)

    def forward(self, x):
        x = self.norm(input=self.conv(input=x))
        x = self.body(input=x)
        return self.drop(input=self.gate(input=x)).mean((2, 3))


@pytest.mark.parametrize("engine", ENGINES)
def test_layers_may_be_called_by_keyword(engine):
    module = seeded(Keyword)
    assert_close(meta_gradient(*problem_of(module), engine=engine).params, by_hand(module))


def test_dropout_and_hard_sigmoid_may_be_called_by_keyword():
    network = Network(seeded(lambda: Keyword(nn.Hardsigmoid, 0.5)))
    params, buffers, x = *network.state(), data_of(0)["xs"]
    masks = network.masks(params, buffers, x, seed=0, episode=0, part=0)
    dropped, _ = network.support(params, buffers, x, masks=masks)
    assert not torch.equal(dropped, network.support(params, buffers, x)[0])

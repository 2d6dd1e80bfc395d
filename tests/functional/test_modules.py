"""Modules as people write them: the gradient is right, or the module is refused by name."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from tests.functional.reference import data_of, head_of, losses_of
from torchcross.errors import InputError
from torchcross.functional import (
    Inner,
    Meta,
    Network,
    Problem,
    adapt,
    meta_gradient,
    meta_loss,
    sgd,
)

ENGINES = ["reverse", "recompute", "mixed"]


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build().double()


def problem_of(module, steps=3, norm="batch", seed=0):
    network = Network(module, norm=norm)
    params, buffers = network.state(steps)
    inner = Inner(*losses_of(network), sgd(), steps)
    return Problem(inner, data_of(seed), head_of()), Meta(params, 0.3, buffers)


def by_hand(module, steps=3, seed=0):
    """The meta-gradient by torch's own tape and the module itself, in training mode."""
    data, head = data_of(seed), head_of()
    module.train()
    shared = dict(module.named_parameters())

    def loss(params, x, y):
        own = {name: params[name] for name in shared}
        features = functional_call(module, own, (x,))
        return F.cross_entropy(F.linear(features, params["head.weight"], params["head.bias"]), y)

    params = {**shared, **head}
    params = {
        name: value if value.requires_grad else value.requires_grad_()
        for name, value in params.items()
    }
    for _ in range(steps):
        grads = torch.autograd.grad(
            loss(params, data["xs"], data["ys"]), list(params.values()), create_graph=True
        )
        params = {
            name: value - 0.3 * grad
            for (name, value), grad in zip(params.items(), grads, strict=True)
        }
    return dict(
        zip(
            shared,
            torch.autograd.grad(loss(params, data["xq"], data["yq"]), list(shared.values())),
            strict=True,
        )
    )


def assert_close(found, expected):
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-9, atol=1e-11, msg=lambda text, at=name: f"{at}: {text}"
        )


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


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 2)

    def forward(self, x):
        return checkpoint(
            lambda y: torch.tanh(self.outer(torch.tanh(self.inner(y)))), x, use_reentrant=False
        ).mean((2, 3))


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(36, 4) * 0.1)
        self.all = [self.weight]

    def forward(self, x):
        return torch.tanh(x.flatten(1) @ self.all[0])


class SharedAndListed(Listed):
    """A layer under two names is put back once, too."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two, self.held = self.one, [self.one.weight]
        self.all = []

    def forward(self, x):
        return self.two(self.one(x.flatten(1) @ self.weight)) @ self.held[0]


class Enclosed(nn.Module):
    def __init__(self):
        super().__init__()
        layer = self.layer = nn.Linear(36, 4)
        self.run = lambda x: layer(x.flatten(1))

    def forward(self, x):
        return self.run(x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Checkpointed, "'inner.weight' was used outside the network's call.*checkpointing"),
        (Listed, "'weight' was used outside the network's call"),
        (SharedAndListed, "'one.weight' was used outside the network's call"),
        (Enclosed, "Enclosed reads its own 'layer.weight'"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_tensors_that_get_past_the_call_are_refused(build, message, engine):
    problem, meta = problem_of(seeded(build))
    with pytest.raises(InputError, match=message):
        meta_gradient(problem, meta, engine=engine)
    with pytest.raises(InputError, match=message):
        meta_gradient(problem, meta, engine=engine)
    with pytest.raises(InputError, match=message):
        adapt(problem, meta)


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


class Clamped(nn.Module):
    """A max-norm that does nothing until a weight is large."""

    def __init__(self, hidden):
        super().__init__()
        self.linear, self.scale, self.hidden = nn.Linear(36, 4), nn.Parameter(torch.ones(4)), hidden

    def forward(self, x):
        with torch.no_grad():
            if float(self.scale.abs().max()) > 2:
                (self.scale.data if self.hidden else self.scale).clamp_(max=2.0)
        return self.linear(x.flatten(1)) * self.scale


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    "call", [meta_gradient, adapt, lambda problem, meta: meta_loss([problem], meta)]
)
@pytest.mark.parametrize("adapted", ["*", "head.*"])
def test_a_late_write_to_a_parameter_is_found(hidden, call, adapted):
    module = seeded(lambda: Clamped(hidden))
    problem, meta = problem_of(module)
    problem = Problem(
        Inner(*losses_of(Network(module)), sgd(), 2, adapted), problem.data, problem.own
    )
    call(problem, meta)
    with torch.no_grad():
        module.scale.fill_(5.0)
    with pytest.raises(InputError, match=r"(writes|wrote) to its parameter 'scale'"):
        call(problem, meta)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("call", [meta_gradient, adapt])
def test_a_write_after_an_inner_step_is_found(hidden, call):
    problem, meta = problem_of(seeded(lambda: Clamped(hidden)))
    with pytest.raises(InputError, match="writes to its parameter 'scale'"):
        call(problem, Meta(meta.params, 300.0))
    assert torch.equal(meta.params["scale"], torch.ones(4, dtype=torch.float64))


class Reassigned(Clamped):
    def forward(self, x):
        if float(self.scale.sum()) > 0:
            self.scale = nn.Parameter(self.scale * 0.9)
        return self.linear(x.flatten(1)) * self.scale


def test_a_replaced_parameter_is_refused():
    with pytest.raises(InputError, match="writes to its parameter 'scale'"):
        meta_gradient(*problem_of(seeded(lambda: Reassigned(hidden=False))))


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


class Noisy(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.linear, self.draw = nn.Linear(3, 3), draw

    def forward(self, x):
        return self.linear(x) * (1 + self.draw())


@pytest.mark.parametrize(
    ("draw", "whose"),
    [
        (lambda: np.random.rand(), "numpy's"),  # noqa: NPY002
        (random.random, "Python's"),
        (lambda: torch.rand(()), "torch's"),
    ],
)
def test_generators_are_put_back_and_their_use_refused(draw, whose):
    def states():
        return (
            np.random.get_state()[1:3],  # noqa: NPY002
            random.getstate(),
            torch.random.get_rng_state(),
        )

    network = Network(Noisy(draw))
    before = states()
    with pytest.raises(
        InputError, match=rf"draws from the global random generator in its forward \({whose}\)"
    ):
        network.support(*network.state(), torch.ones(2, 3))
    after = states()
    assert np.array_equal(before[0][0], after[0][0])
    assert (before[0][1], before[1]) == (after[0][1], after[1])
    assert torch.equal(before[2], after[2])


class Cached(nn.Module):
    """Keeps what it computed from its parameters, in evaluation mode, as some attentions do."""

    def __init__(self):
        super().__init__()
        self.linear, self.bias, self.kept = nn.Linear(36, 4), nn.Parameter(torch.ones(4)), {}

    def forward(self, x):
        if self.training:
            return self.linear(x.flatten(1)) + self.bias.square()
        if "square" not in self.kept:
            self.kept["square"] = self.bias.square()
        return self.linear(x.flatten(1)) + self.kept["square"]


def test_what_a_layer_keeps_does_not_reach_the_next_call():
    module = seeded(Cached)
    network, x = Network(module), data_of(0)["xs"]
    params, buffers = network.state()
    for value in (1.0, 5.0):
        given = {**params, "bias": torch.full((4,), value, dtype=torch.float64)}
        expected = F.linear(x.flatten(1), params["linear.weight"], params["linear.bias"]) + value**2
        torch.testing.assert_close(network.support(given, buffers, x)[0], expected)
    assert module.kept == {}
    problem, meta = problem_of(module)
    assert_close(meta_gradient(problem, meta).params, by_hand(module))


class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.last = nn.Linear(36, 4), torch.zeros(4)

    def forward(self, x):
        output = self.linear(x.flatten(1)) + 0.5 * self.last
        self.last = output.mean(0).detach()
        return output


def test_a_state_that_is_no_buffer_is_refused():
    network = Network(seeded(Remembering))
    for _ in range(2):
        with pytest.raises(InputError, match=r"attribute 'last' of layer '' \(Remembering\)"):
            network.support(*network.state(), data_of(0)["xs"])


def test_hard_sigmoid_has_a_second_derivative():
    network = Network(nn.Hardsigmoid())
    x = torch.tensor([-4.0, -1.0, 0.5, 2.0, 5.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(network.support({}, {}, x)[0], F.hardsigmoid(x))
    assert torch.autograd.gradgradcheck(lambda x: network.support({}, {}, x)[0].square(), (x,))

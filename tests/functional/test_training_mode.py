"""In training mode a network does what the plain module does after `train()`, given its draws."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from tests.functional.reference import data_of, head_of
from torchcross.errors import InputError
from torchcross.functional import Inner, Meta, Network, Problem, meta_gradient, meta_loss, sgd

ENGINES = ["reverse", "recompute", "mixed"]
STEPS, RATE = 2, 0.3


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build().double()


class StochasticDepth(nn.Module):
    """As torchvision's: `torch.empty(...).bernoulli_`, for each image or for the batch."""

    def __init__(self, rate, mode):
        super().__init__()
        self.rate, self.mode = rate, mode

    def forward(self, x):
        if not self.training:
            return x
        rows = len(x) if self.mode == "row" else 1
        noise = torch.empty([rows] + [1] * (x.dim() - 1), dtype=x.dtype, device=x.device)
        return x * noise.bernoulli_(1 - self.rate).div_(1 - self.rate)


class DropPath(nn.Module):
    """As timm's: `x.new_empty(...).bernoulli_`."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if self.rate == 0.0 or not self.training:
            return x
        noise = x.new_empty((len(x),) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * noise.div_(1 - self.rate)


class Floored(nn.Module):
    """As in older code: the floor of uniform numbers, and noise that is added."""

    def forward(self, x):
        if not self.training:
            return x
        kept = torch.floor(0.6 + torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device))
        return x * kept / 0.6 + 0.1 * torch.randn_like(x)


class Functional(nn.Module):
    def forward(self, x):
        x = F.dropout2d(F.dropout(x, 0.4, self.training), 0.3, training=self.training)
        return F.rrelu(x, 0.1, 0.4, training=self.training)


class Backbone(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.conv, self.between, self.last = nn.Conv2d(1, 4, 3), between, nn.Conv2d(4, 4, 2)

    def forward(self, x):
        x = torch.tanh(self.conv(x))
        return torch.tanh(self.last(x + self.between(x))).mean((2, 3))


class Given(nn.Module):
    """The plain layer's own formula, with numbers from a list in place of draws."""

    def __init__(self, formula):
        super().__init__()
        self.formula, self.numbers = formula, []

    def forward(self, x):
        return self.formula(x, *[number.to(x.dtype) for number in self.numbers])


def scale_paths(x, keep):
    return x * keep / 0.6


def functional_by_hand(x, keep, channels, slopes):
    x = x * keep / 0.6 * channels / 0.7
    return torch.where(x > 0, x, x * (0.1 + 0.3 * slopes))


CASES = {
    "depth-row": (lambda: StochasticDepth(0.4, "row"), scale_paths),
    "depth-batch": (lambda: StochasticDepth(0.4, "batch"), scale_paths),
    "drop-path": (lambda: DropPath(0.4), scale_paths),
    "floored": (
        Floored,
        lambda x, uniform, noise: x * torch.floor(0.6 + uniform) / 0.6 + 0.1 * noise,
    ),
    "functional": (Functional, functional_by_hand),
}


def losses_in_training(network):
    def loss(params, buffers, data, step, part, row):
        features, buffers = network.support(
            params, buffers, data[f"x{part}"], step=row, masks=data[f"m{part}"]
        )
        logits = F.linear(features, params["head.weight"], params["head.bias"])
        return F.cross_entropy(logits, data[f"y{part}"]), buffers

    def support(params, buffers, data, step):
        return loss(params, buffers, data, step, "s", step)

    def query(params, buffers, data, step):
        return loss(params, buffers, data, step, "q", 0)

    return support, query


def problem_of(network, episode, inner=None):
    params, buffers = network.state()
    data = dict(data_of(episode))
    for part, (number, rows) in {"s": (0, STEPS), "q": (1, 1)}.items():
        images = data[f"x{part}"]
        data[f"m{part}"] = network.masks(
            params, buffers, images, seed=5, episode=episode, part=number, rows=rows
        )
    inner = inner or Inner(*losses_in_training(network), sgd(), STEPS)
    return Problem(inner, data, head_of(), f"episode {episode}"), Meta(params, RATE, buffers)


def by_hand(module, given, data):
    """The meta-gradient by torch's own tape, with the same numbers."""
    shared = {name: value.detach().requires_grad_() for name, value in module.named_parameters()}
    params = {**shared, **head_of()}
    params = {name: value.requires_grad_() for name, value in params.items()}

    def loss(params, part, row):
        given.numbers = [value[row] for value in data[f"m{part}"].values()]
        features = functional_call(
            module, {name: params[name] for name in shared}, data[f"x{part}"]
        )
        logits = F.linear(features, params["head.weight"], params["head.bias"])
        return F.cross_entropy(logits, data[f"y{part}"])

    for step in range(STEPS):
        value = loss(params, "s", step)
        grads = torch.autograd.grad(value, list(params.values()), create_graph=True)
        moved = zip(params.items(), grads, strict=True)
        params = {name: value - RATE * grad for (name, value), grad in moved}
    grads = torch.autograd.grad(loss(params, "q", 0), list(shared.values()))
    return dict(zip(shared, grads, strict=True))


def assert_same(left, right):
    for name, value in right.items():
        torch.testing.assert_close(left[name], value, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_meta_gradient_is_that_of_the_plain_loop_with_the_same_draws(case, engine):
    build, formula = CASES[case]
    network = Network(seeded(lambda: Backbone(build())))
    problem, meta = problem_of(network, 7)
    given = Given(formula)
    expected = by_hand(seeded(lambda: Backbone(given)), given, problem.data)
    state = torch.random.get_rng_state()
    assert_same(meta_gradient(problem, meta, engine=engine).params, expected)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("case", CASES)
def test_draws_belong_to_the_episode_whatever_runs_beside_it(case):
    network = Network(seeded(lambda: Backbone(CASES[case][0]())))
    inner = Inner(*losses_in_training(network), sgd(), STEPS)
    problems = [problem_of(network, episode, inner)[0] for episode in (3, 4, 5)]
    _, meta = problem_of(network, 3)
    alone = [float(meta_loss([problem], meta).losses[0]) for problem in problems]
    assert len(set(alone)) == 3
    together = meta_loss(problems[::-1], meta, lanes=3)
    torch.testing.assert_close(together.losses, torch.tensor(alone[::-1], dtype=torch.float64))
    again = problem_of(network, 4)[0].data
    for part in ("ms", "mq"):
        assert all(
            torch.equal(problems[1].data[part][key], again[part][key]) for key in again[part]
        )


@pytest.mark.parametrize("case", CASES)
def test_predictions_are_in_evaluation_mode(case):
    module = seeded(lambda: Backbone(CASES[case][0]()))
    network, x = Network(module), data_of(0)["xs"]
    output, _ = network.support(*network.state(), x)
    torch.testing.assert_close(output, module.eval()(x))


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


# -- what is refused -------------------------------------------------------------------------------


class Permuted(nn.Module):
    def forward(self, x):
        return x[torch.randperm(len(x))] if self.training else x


class OwnGenerator(nn.Module):
    def forward(self, x):
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(x.shape, dtype=x.dtype, generator=generator)
        return x + noise if self.training else x


class NumpyDraws(nn.Module):
    def forward(self, x):
        return x * np.random.rand() if self.training else x  # noqa: NPY002


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Permuted(), r"layer 'between' \(Permuted\) draws random numbers by torch's randperm"),
        (OwnGenerator(), r"layer 'between' \(OwnGenerator\) draws random numbers by torch's rand "),
        (NumpyDraws(), r"Backbone draws from the global random generator .*numpy's"),
    ],
)
def test_draws_that_no_mask_can_replace_are_refused_by_name(layer, message):
    network = Network(seeded(lambda: Backbone(layer)))
    for _ in range(2):
        with pytest.raises(InputError, match=message):
            problem_of(network, 0)


def _scale_in_training(module, x):
    return 2 * x if getattr(module, "train" + "ing") else x


class Hidden(nn.Module):
    """Looks at its mode where its own code does not show it."""

    def __init__(self):
        super().__init__()
        self.run = _scale_in_training

    def forward(self, x):
        return self.run(self, x)


class HiddenBehindZero(Hidden):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.scale * self.run(self, x)


@pytest.mark.parametrize("kind", [Hidden, HiddenBehindZero])
def test_a_mode_that_no_code_shows_is_found_at_first_use(kind):
    network = Network(seeded(lambda: Backbone(kind())))
    for _ in range(2):
        with pytest.raises(InputError, match=r"Backbone acts otherwise in training mode"):
            network.support(*network.state(), data_of(0)["xs"])


class Auxiliary(Backbone):
    def forward(self, x):
        features = super().forward(x)
        return (features, x) if self.training else features


def test_another_structure_in_training_mode_is_refused():
    network = Network(seeded(lambda: Auxiliary(nn.Identity())))
    with pytest.raises(InputError, match=r"returns tuple of 2 in training mode and a tensor"):
        problem_of(network, 0)


class Gated(nn.Module):
    """Its second draw depends on the first."""

    def forward(self, x):
        if self.training and float(torch.rand(())) > 0.5:
            x = x * torch.rand(len(x), 1, 1, 1, dtype=x.dtype)
        return x


def test_draws_that_depend_on_draws_are_refused_where_they_do():
    network = Network(seeded(lambda: Backbone(Gated())))
    episodes = [problem_of(network, episode) for episode in range(8)]
    with pytest.raises(InputError, match="draws depend on earlier draws"):
        [meta_loss([problem], meta) for problem, meta in episodes]


# -- spectral norm ---------------------------------------------------------------------------------


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

"""Complex, half and strided tensors, `.data`, sparse gradients: exact, or refused by name."""

import pytest
import torch
from torch import nn

from tests.algorithms.cases import TARGETS, episode_of
from tests.functional.reference import data_of, head_of, losses_of
from torchcross.algorithms import ANIL, MAML, FineTune, ProtoNet, Ridge, certify
from torchcross.errors import InputError
from torchcross.functional import (
    ENGINES,
    Inner,
    Meta,
    Network,
    Problem,
    adapt,
    certify_problem,
    meta_gradient,
    meta_loss,
    sgd,
)

EPISODE = episode_of(TARGETS["multiclass"], size=6)


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build()


class ComplexFilter(nn.Module):
    """A filter in the frequency domain; its weight is a parameter or a buffer."""

    def __init__(self, is_learned):
        super().__init__()
        filters = torch.randn(4, 6, 4, dtype=torch.complex128)
        if is_learned:
            self.filters = nn.Parameter(filters)
        else:
            self.register_buffer("filters", filters)
        self.scale = nn.Parameter(torch.rand(4, 1, 1, dtype=torch.float64))

    def forward(self, x):
        spectrum = torch.fft.rfft2(x) * self.filters * self.scale
        return torch.tanh(torch.fft.irfft2(spectrum, s=x.shape[-2:])).square().mean((2, 3))


@pytest.mark.parametrize(
    "make",
    [MAML, ANIL, ProtoNet, Ridge, FineTune, lambda net: MAML(net, adapted=["scale", "head.*"])],
)
def test_complex_parameters_are_refused_by_name(make):
    message = "'filters', a parameter of ComplexFilter, is complex"
    with pytest.raises(InputError, match=message):
        make(seeded(lambda: ComplexFilter(is_learned=True)))


@pytest.mark.parametrize(
    "call", [meta_gradient, adapt, lambda *args: meta_loss([args[0]], args[1])]
)
@pytest.mark.parametrize("adapted", ["real", "*"])
def test_complex_parameters_without_a_network_are_refused(call, adapted):
    def loss(params, buffers, data, step):
        return (params["imaginary"].abs() * params["real"]).square().sum(), buffers

    params = {"real": torch.ones(2), "imaginary": torch.ones(2, dtype=torch.complex64)}
    problem = Problem(Inner(loss, loss, sgd(), 1, adapted), {"x": torch.ones(1)})
    with pytest.raises(InputError, match="'imaginary', a parameter of episode, is complex"):
        call(problem, Meta(params))


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "implicit"])
def test_complex_buffers_are_exact_constants(engine):
    network = Network(seeded(lambda: ComplexFilter(is_learned=False)))
    params, buffers = network.state()
    assert buffers["filters"].is_complex()
    data = {**data_of(0), "noise": torch.ones(1, dtype=torch.complex128)}
    problem = Problem(Inner(*losses_of(network), sgd(), 2), data, head_of())
    rows = certify_problem(problem, Meta(params, 0.3, buffers), engine=engine)
    assert all(row.holds or row.order == 1 for row in rows)
    assert float(meta_gradient(problem, Meta(params, 0.3, buffers)).params["scale"].norm()) > 0


@pytest.mark.parametrize("make", [ANIL, ProtoNet, Ridge])
def test_complex_buffers_serve_every_algorithm(make):
    module = seeded(lambda: ComplexFilter(is_learned=False))
    learner = make(module).double()
    (slope,) = torch.autograd.grad(learner.meta_loss([EPISODE]), [module.scale])
    differences = []
    for size in (1e-5, -1e-5):
        with torch.no_grad():
            module.scale[1] += size
            differences.append(float(learner.meta_loss([EPISODE])))
            module.scale[1] -= size
    assert float(slope[1]) == pytest.approx((differences[0] - differences[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("make", [MAML, ProtoNet])
def test_certify_widens_complex_buffers(make):
    class InTheTypeOfItsFilters(nn.Sequential):
        def forward(self, x):
            y = super().forward(x)
            return (y.to(self.filters.dtype) * self.filters).abs()

    module = seeded(lambda: InTheTypeOfItsFilters(nn.Flatten(), nn.Linear(36, 4)))
    module.register_buffer("filters", torch.tensor([1 + 2j, 2 - 1j, 1j, 1 - 1j]))
    certificate = certify(make(module), [EPISODE], directions=1)
    assert certificate.holds, certificate


class MovingComplex(ComplexFilter):
    def forward(self, x):
        self.filters = self.filters * 0.9
        return super().forward(x)


def test_complex_buffers_that_move_are_refused():
    network = Network(seeded(lambda: MovingComplex(is_learned=False)))
    with pytest.raises(InputError, match="'filters', a buffer that MovingComplex changes"):
        network.support(*network.state(), data_of(0)["xs"])


class Strided(nn.Module):
    """Takes overlapping windows by their strides, as if channels came first."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = self.first(x)
        size = x.shape[-1] - 1
        strides = (3 * x.shape[-1] ** 2, x.shape[-1] ** 2, x.shape[-1], 1)
        return torch.tanh(self.second(x.as_strided((len(x), 3, size, size), strides))).mean((2, 3))


def test_strides_are_those_that_a_module_was_written_for():
    module, plain = seeded(Strided), seeded(Strided)
    generator = torch.Generator().manual_seed(0)
    network = Network(module)
    for count in (1, 3, 40):
        x = torch.randn(count, 1, 8, 8, generator=generator)
        with torch.no_grad():
            expected = plain(x)
        # The second call is one without checks.
        for _ in range(2):
            output, _ = network.support(*network.state(), x)
            torch.testing.assert_close(output.detach(), expected, rtol=1e-4, atol=1e-5)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return torch.tanh(self.second(self.first(x))).mean((2, 3))


def test_other_modules_keep_the_channels_last():
    network = Network(seeded(Plain))
    network.support(*network.state(), torch.ones(40, 1, 8, 8))
    assert list(network._copies.layouts.values()) == [True]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("norm", ["frozen", "batch", "support", "running", "per_step"])
def test_half_modules_run_under_every_policy(dtype, norm):
    def build():
        layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 4, 2), nn.Flatten()
        return nn.Sequential(*layers)

    results = []
    for kind in (dtype, torch.float32):
        maml = MAML(seeded(build).to(kind), steps=2, norm=norm).to(kind)
        loss = maml.meta_loss([EPISODE])
        gradient = torch.autograd.grad(loss, list(maml.parameters()), materialize_grads=True)
        predictor = maml.adapt(EPISODE.support, EPISODE.task)
        probabilities = predictor(EPISODE.query.x).probabilities
        results.append([loss.detach(), gradient[0], probabilities])
    for half, full in zip(*results, strict=True):
        assert float((half.float() - full).norm()) <= 0.15 * float(full.norm())


def test_a_half_module_can_be_fine_tuned():
    module = seeded(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten()))
    predictor = FineTune(module.bfloat16(), steps=3).adapt(EPISODE.support, EPISODE.task)
    assert torch.isfinite(predictor(EPISODE.query.x).probabilities).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("norm", ["frozen", "support", "running", "per_step"])
def test_half_predictors_become_modules(dtype, norm):
    module = seeded(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten()))
    learner = MAML(module.to(dtype), steps=1, norm=norm)
    predictor = learner.adapt(EPISODE.support, EPISODE.task)
    probabilities = predictor.to_module()(EPISODE.query.x)
    expected = predictor(EPISODE.query.x).probabilities
    torch.testing.assert_close(probabilities, expected, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("target", ["multiclass", "multilabel"])
def test_ridge_regression_of_half_features(dtype, target):
    episode, results = episode_of(TARGETS[target], size=8), []
    for kind in (dtype, torch.float32):
        module = seeded(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten()))
        ridge = Ridge(module.to(kind))
        loss = ridge.meta_loss([episode])
        gradient = torch.autograd.grad(loss, list(module.parameters()))
        probabilities = ridge.adapt(episode.support, episode.task)(episode.query.x).probabilities
        results.append([loss.detach(), gradient[0], probabilities])
    for half, full in zip(*results, strict=True):
        assert float((half.float() - full).norm()) <= 0.05 * float(full.norm())


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_says_that_its_eps_is_lost_in_float16(name):
    module = seeded(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())).half()
    message = f"{name} adds eps=1e-08 to what it divides by, which is 0 in float16, the precision"
    with pytest.raises(InputError, match=message):
        FineTune(module, steps=1, optimiser=name).adapt(EPISODE.support, EPISODE.task)
    with pytest.raises(InputError, match=message):
        MAML(module, steps=1, optimiser=name).meta_loss([EPISODE])


class ReadsData(nn.Module):
    def __init__(self, of_images):
        super().__init__()
        self.linear, self.of_images = nn.Linear(36, 4), of_images

    def forward(self, x):
        y = self.linear(x.flatten(1))
        return y * y.data if self.of_images else y * self.linear.weight.data.sum()


@pytest.mark.parametrize("of_images", [True, False])
def test_data_is_refused_in_lanes_and_constant_in_the_loop(of_images):
    module = seeded(lambda: ReadsData(of_images).double())
    episodes = [EPISODE, EPISODE]
    with pytest.raises(InputError, match=r"ReadsData reads `\.data` of a tensor"):
        MAML(module, lanes=2, steps=1).meta_loss(episodes)
    loss = MAML(module, lanes="loop", steps=1, head="kaiming").meta_loss(episodes)
    (gradient,) = torch.autograd.grad(loss, [module.linear.bias])
    assert float(gradient.norm()) > 0


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 4, sparse=True)

    def forward(self, x):
        return self.words((x.flatten(1)[:, :5].abs() * 3).long().clamp(0, 9)).mean(1)


class Compiled(nn.Module):
    """As torch.compile wraps a module."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module

    def forward(self, x):
        return self._orig_mod(x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Embedded, r"layer 'words' is a Embedding with sparse=True"),
        (lambda: Compiled(nn.Linear(1, 1)), r"is compiled \(torch\.compile\).*`_orig_mod`"),
    ],
)
def test_modules_without_second_derivatives_are_refused(build, message):
    with pytest.raises(InputError, match=message):
        Network(build())


class ReadsLayout(nn.Module):
    """The mean over each image, by steps in memory, by their size, or by what lies together."""

    def __init__(self, kind):
        super().__init__()
        self.filters, self.kind = nn.Conv2d(1, 4, 3), kind

    def forward(self, x):
        y = self.filters(x)
        means = y.mean((2, 3))
        if self.kind == "as_strided":
            channels, height, width = y.shape[1:]
            size = height * width
            return y.as_strided(y.shape, (channels * size, size, width, 1)).mean((2, 3))
        is_plain = y.stride(3) == 1 if self.kind == "stride" else y.is_contiguous()
        return means if is_plain else 2 * means


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("as_strided", torch.float32),
        ("as_strided", torch.float64),
        ("stride", torch.float64),
        ("is_contiguous", torch.float32),
    ],
)
def test_memory_layouts_are_refused_in_lanes(kind, dtype):
    episodes = [EPISODE, episode_of(TARGETS["multiclass"], seed=1, size=6)]
    module = seeded(lambda: ReadsLayout(kind)).to(dtype)
    assert torch.isfinite(MAML(module, steps=2, lanes="loop").meta_loss(episodes))
    message = r"ReadsLayout reads in its forward how a tensor lies in memory .* lanes='loop'"
    with pytest.raises(InputError, match=message):
        MAML(module, steps=2, lanes=2).meta_loss(episodes)

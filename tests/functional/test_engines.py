"""Every engine equals the plain `create_graph=True` loop, under all options."""

import pytest
import torch

from tests.functional.reference import Net, assert_close, data_of, head_of, losses_of, plain_loop
from torchcross.functional import (
    Inner,
    Meta,
    Network,
    Problem,
    adam,
    adamw,
    meta_gradient,
    momentum,
    select,
    sgd,
)

EXACT = ("reverse", "recompute", "mixed")
OPTIMISERS = {
    "sgd": sgd,
    "momentum": lambda **k: momentum(0.9, **k),
    "nesterov": lambda **k: momentum(0.9, nesterov=True, **k),
    "adam": adam,
    "sgd/decay": lambda **k: sgd(weight_decay=0.1, **k),
    "nesterov/decay": lambda **k: momentum(0.9, nesterov=True, weight_decay=0.1, **k),
    "adam/decay": lambda **k: adam(weight_decay=0.1, **k),
    "adamw/decay": lambda **k: adamw(weight_decay=0.1, **k),
}
POLICIES = ("frozen", "batch", "support", "running", "per_step")
STEPS = 3


def episode(
    policy="batch", kind="sgd", adapted="*", weights=None, per_step=False, steps=STEPS, rates=None
):
    network = Network(Net(), norm=policy)
    params, buffers = network.state(steps)
    support, query = losses_of(network)
    optimiser = OPTIMISERS[kind](per_step=per_step)
    inner = Inner(support, query, optimiser, steps, adapted=adapted, query_weights=weights)
    rate = 0.05 if kind.startswith("adam") else 0.3
    meta = Meta(
        params, torch.tensor(rate, dtype=torch.float64) if rates is None else rates, buffers
    )
    return Problem(inner, data_of(0), head_of()), meta


def expected(problem, meta, kind="sgd", policy="batch", detach=False):
    rates = meta.rates if isinstance(meta.rates, dict) else {"*": meta.rates}
    everything = {**meta.params, **problem.own}
    return plain_loop(
        everything,
        rates,
        meta.buffers,
        problem.data,
        kind=kind,
        policy=policy,
        steps=problem.inner.steps,
        adapted=select(everything, problem.inner.adapted),
        weights=problem.inner.query_weights,
        detach=detach,
    )


def assert_same(problem, meta, engine, reference):
    loss, params, rates = reference
    result = meta_gradient(problem, meta, engine=engine)
    torch.testing.assert_close(result.loss, loss, rtol=1e-9, atol=0)
    assert_close({**result.params, **result.own}, params)
    assert_close(result.rates, rates)


@pytest.mark.slow
@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_optimisers(engine, kind):
    problem, meta = episode(kind=kind)
    assert_same(problem, meta, engine, expected(problem, meta, kind))


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("weights", [None, (0.2, 0.0, 0.8)])
def test_policies_and_multi_step_losses(engine, policy, weights):
    problem, meta = episode(policy=policy, weights=weights)
    assert_same(problem, meta, engine, expected(problem, meta, policy=policy))


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("adapted", ["head.*", ("conv*", "norm*"), ("norm*", "head.weight")])
def test_partial_adaptation(engine, adapted):
    problem, meta = episode(adapted=adapted)
    assert_same(problem, meta, engine, expected(problem, meta))


def rates_like(params, form):
    generator = torch.Generator().manual_seed(3)

    def draw(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64) * 0.2 + 0.05

    match form:
        case "per_parameter":
            return {name: draw(*value.shape) for name, value in params.items()}
        case "per_layer":
            return {name: draw() for name in params}
        case _:
            return {name: draw(STEPS) for name in params}


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("form", ["per_parameter", "per_layer", "per_layer_per_step"])
def test_learned_rates(engine, kind, form):
    params = {**Net().state_dict(keep_vars=True), **head_of()}
    names = {
        name: value
        for name, value in params.items()
        if "running" not in name and "num_" not in name
    }
    rates = rates_like(names, form)
    problem, meta = episode(kind=kind, per_step=form.endswith("per_step"), rates=rates)
    if form.endswith("per_step"):
        # A bias of `steps` entries: the reference tells the two meanings apart by shape alone.
        problem, meta = episode(kind=kind, per_step=True, rates=rates, adapted=("*.weight",))
        rates = {
            name: rate
            for name, rate in rates.items()
            if name.endswith("weight") and "norm1" not in name
        }
        meta = Meta(meta.params, rates, meta.buffers)
        problem, _ = episode(kind=kind, per_step=True, rates=rates, adapted=tuple(rates))
    assert_same(problem, meta, engine, expected(problem, meta, kind))


def not_conv_bias(name):
    return not (name.startswith("conv") and name.endswith("bias"))


@pytest.mark.parametrize("policy", ["batch", "running"])
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_first_order_is_the_detached_loop(kind, policy):
    # The gradient of a convolution's bias before BatchNorm is rounding noise, which Adam blows up
    # to its rate.
    problem, meta = episode(
        kind=kind, policy=policy, weights=(0.3, 0.3, 0.4), adapted=not_conv_bias
    )
    reference = expected(problem, meta, kind, policy, detach=True)
    assert_same(problem, meta, "first_order", reference)
    exact = expected(problem, meta, kind, policy)
    assert (reference[1]["conv1.weight"] - exact[1]["conv1.weight"]).norm() > 1e-6


@pytest.mark.parametrize("engine", [*EXACT, "first_order"])
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_zero_head_shortcut_is_exact(engine, kind):
    problem, meta = episode(kind=kind)
    own = head_of(zero=True)
    full = meta_gradient(Problem(problem.inner, problem.data, own), meta, engine=engine)
    stated = Inner(
        problem.inner.support,
        problem.inner.query,
        problem.inner.optimiser,
        STEPS,
        zero_head="head.*",
    )
    short = meta_gradient(Problem(stated, problem.data, own), meta, engine=engine)
    torch.testing.assert_close(short.loss, full.loss, rtol=1e-12, atol=0)
    assert_close(short.params, full.params, 1e-9)
    assert_close(short.rates, full.rates, 1e-9)
    assert short.own == {}


def test_first_backbone_gradient_of_a_zero_head_is_exactly_zero():
    problem, meta = episode()
    params = {
        name: value.detach().requires_grad_()
        for name, value in {**meta.params, **head_of(zero=True)}.items()
    }
    loss, _ = problem.inner.support(params, meta.buffers, problem.data, 0)
    loss.backward()
    assert all(not params[name].grad.any() for name in meta.params)
    assert params["head.weight"].grad.any()


@pytest.mark.parametrize("engine", [*EXACT, "first_order"])
def test_second_order_adam_is_finite_at_zero_gradients(engine):
    problem, meta = episode(kind="adam")
    own = head_of(zero=True)
    result = meta_gradient(Problem(problem.inner, problem.data, own), meta, engine=engine)
    assert all(torch.isfinite(value).all() for value in result.params.values())
    assert any(value.any() for value in result.params.values())


@pytest.mark.parametrize("engine", [*EXACT, "first_order"])
def test_no_steps_is_the_plain_gradient(engine):
    problem, meta = episode(steps=0)
    result = meta_gradient(problem, meta, engine=engine)
    params = {
        name: value.detach().requires_grad_()
        for name, value in {**meta.params, **problem.own}.items()
    }
    loss, _ = problem.inner.query(params, meta.buffers, problem.data, 0)
    grads = torch.autograd.grad(loss, list(params.values()))
    assert_close({**result.params, **result.own}, dict(zip(params, grads, strict=True)))


@pytest.mark.parametrize("engine", [*EXACT, "first_order"])
def test_a_differentiable_initialisation(engine):
    """A prototype head, against the same network with the head built inside the losses of the
    reference.
    """
    problem, meta = episode()
    network = Network(Net())

    def prototypes(params, buffers, data):
        features, _ = network.support(params, buffers, data["xs"])
        means = torch.stack([features[data["ys"] == label].mean(0) for label in range(3)])
        return {"head.weight": 2 * means, "head.bias": -means.square().sum(1)}

    inner = Inner(problem.inner.support, problem.inner.query, sgd(), STEPS, init=prototypes)
    result = meta_gradient(Problem(inner, problem.data), meta, engine=engine)
    params = {name: value.detach().requires_grad_() for name, value in meta.params.items()}
    head = prototypes(params, meta.buffers, problem.data)
    loss, grads, _ = plain_loop(
        {**meta.params, **head},
        {"*": meta.rates},
        meta.buffers,
        problem.data,
        kind="sgd",
        policy="batch",
        steps=STEPS,
        adapted=[*meta.params, *head],
        detach=engine == "first_order",
    )
    names = list(head)
    through = torch.autograd.grad(
        [head[n] for n in names], list(params.values()), [grads[n] for n in names]
    )
    whole = {name: grads[name] + part for name, part in zip(params, through, strict=True)}
    torch.testing.assert_close(result.loss, loss, rtol=1e-9, atol=0)
    assert_close(result.params, whole)
    assert result.own == {}

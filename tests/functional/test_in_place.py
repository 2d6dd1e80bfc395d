"""Where nothing is differentiated: optimisers in place, statistics from the normalisation."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from torchcross.errors import InputError
from torchcross.functional import Inner, Meta, Problem, adam, adamw, adapt, momentum, sgd
from torchcross.functional.network.ops import tracked_batch_norm

OPTIMISERS = [
    sgd(),
    sgd(weight_decay=0.2),
    momentum(),
    momentum(0.5, nesterov=True),
    momentum(0.5, nesterov=True, weight_decay=0.2),
    adam(),
    adam((0.5, 0.9), eps=1e-3),
    adam(weight_decay=0.2),
    adamw(weight_decay=0.2),
]


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def support(params, buffers, data, step):
    return F.mse_loss(data["x"] @ params["weight"] + params["bias"], data["y"]), buffers


def problem_of(optimiser, steps):
    data = {"x": draw(7, 5, seed=1), "y": draw(7, 3, seed=2)}
    return Problem(Inner(support, support, optimiser, steps), data)


def meta_of(rates):
    # Odd sizes, and one parameter whose gradient is laid out otherwise.
    return Meta({"weight": draw(3, 5).t(), "bias": draw(3, seed=3)}, rates)


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: optimiser.name)
def test_in_place_is_the_pure_update(optimiser):
    problem, meta = problem_of(optimiser, 4), meta_of(0.05)
    before = {name: value.clone() for name, value in meta.params.items()}
    params, state = meta.params, optimiser.init(meta.params)
    for step in range(4):
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        loss, _ = support(leaves, {}, problem.data, step)
        grads = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
        params, state = optimiser.update(grads, state, params, {"*": 0.05}, step)
    moved = adapt(problem, meta).params
    for name, value in params.items():
        torch.testing.assert_close(moved[name], value, rtol=1e-12, atol=1e-12)
        assert torch.equal(meta.params[name], before[name])


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: optimiser.name)
def test_rates_as_tensors_take_the_other_way_to_the_same_end(optimiser):
    number = adapt(problem_of(optimiser, 3), meta_of(0.05))
    tensor = adapt(problem_of(optimiser, 3), meta_of(torch.tensor(0.05, dtype=torch.float64)))
    for name, value in number.params.items():
        torch.testing.assert_close(value, tensor.params[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.3, 0.9])
def test_momentum_in_place_is_that_of_torch(nesterov, decay):
    problem, meta = problem_of(momentum(decay, nesterov=nesterov), 4), meta_of(0.05)
    weights = {name: value.clone().requires_grad_() for name, value in meta.params.items()}
    theirs = torch.optim.SGD(list(weights.values()), 0.05, momentum=decay, nesterov=nesterov)
    for step in range(4):
        theirs.zero_grad()
        support(weights, {}, problem.data, step)[0].backward()
        theirs.step()
    for name, value in adapt(problem, meta).params.items():
        torch.testing.assert_close(value, weights[name].detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "last"), [((5, 3), False), ((4, 3, 2, 3), False), ((4, 3, 2, 3), True)]
)
def test_tracked_batch_norm_twice(shape, last):
    x, weight, bias = (
        draw(*shape).requires_grad_(),
        draw(3, seed=1).requires_grad_(),
        draw(3, seed=2).requires_grad_(),
    )
    if last:
        x = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()

    def f(*tensors):
        return tracked_batch_norm(*tensors, 1e-5)

    y, mean, variance = f(x, weight, bias)
    over = [0, *range(2, x.dim())]
    torch.testing.assert_close(y, F.batch_norm(x, None, None, weight, bias, True))
    torch.testing.assert_close(mean, x.mean(over))
    torch.testing.assert_close(variance, x.var(over, correction=0))
    assert gradcheck(f, (x, weight, bias))
    assert gradgradcheck(f, (x, weight, bias))


@pytest.mark.parametrize("used", [1, 2])
def test_statistics_alone_have_gradients(used):
    x, weight, bias = draw(4, 3, 2).requires_grad_(), draw(3, seed=1), draw(3, seed=2)
    assert gradgradcheck(lambda x: tracked_batch_norm(x, weight, bias, 1e-5)[used].sin(), (x,))


OF_TORCH = {
    "sgd": (sgd(weight_decay=0.1), torch.optim.SGD, {}),
    "momentum": (momentum(weight_decay=0.1), torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (
        momentum(nesterov=True, weight_decay=0.1),
        torch.optim.SGD,
        {"momentum": 0.9, "nesterov": True},
    ),
    "adam": (adam(weight_decay=0.1), torch.optim.Adam, {}),
    "adamw": (adamw(weight_decay=0.1), torch.optim.AdamW, {}),
}


@pytest.mark.parametrize("name", OF_TORCH)
@pytest.mark.parametrize("in_place", [False, True])
def test_optimisers_are_those_of_torch(name, in_place):
    optimiser, of_torch, options = OF_TORCH[name]
    params = {"weight": draw(3, 5), "bias": draw(3, seed=3)}
    state = {key: value.clone() for key, value in optimiser.init(params).items()}
    leaves = {key: value.clone().requires_grad_() for key, value in params.items()}
    theirs = of_torch(list(leaves.values()), lr=0.05, weight_decay=0.1, **options)
    for step in range(6):
        grads = {key: draw(*value.shape, seed=10 + step) for key, value in params.items()}
        for key, leaf in leaves.items():
            leaf.grad = grads[key].clone()
        theirs.step()
        if in_place:
            optimiser.move(grads, state, params, 0.05, step)
        else:
            params, state = optimiser.update(grads, state, params, {"*": 0.05}, step)
    for key, leaf in leaves.items():
        torch.testing.assert_close(params[key], leaf.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [sgd, momentum, adam, adamw])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_weight_decay_is_a_finite_number_of_zero_or_more(make, value):
    with pytest.raises(InputError, match="weight_decay must be a number of 0 or more"):
        make(weight_decay=value)

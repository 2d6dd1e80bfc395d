import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from tests.examples import max_examples
from torchcross.errors import TorchcrossError
from torchcross.functional import Network
from torchcross.functional.network.ops import batch_norm, convolution, moments, normalise


def draw(*shape, seed=0, grad=True):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_(grad)


@pytest.mark.slow
@max_examples(5)
@given(
    dims=st.sampled_from([1, 2, 3]),
    groups=st.sampled_from([1, 2]),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([0, 1]),
    dilation=st.sampled_from([1, 2]),
    biased=st.booleans(),
)
def test_convolution_twice(dims, groups, stride, padding, dilation, biased):
    plain = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[dims]
    x = draw(1, 2, *[3] * dims)
    weight = draw(2, 2 // groups, *[2] * dims, seed=1)
    bias = draw(2, seed=2) if biased else None

    def f(*tensors):
        return convolution(
            tensors[0],
            tensors[1],
            tensors[2] if biased else None,
            stride=[stride] * dims,
            padding=[padding] * dims,
            dilation=[dilation] * dims,
            groups=groups,
            plain=plain,
        )

    inputs = (x, weight, bias) if biased else (x, weight)
    assert torch.equal(f(*inputs), plain(x, weight, bias, stride, padding, dilation, groups))
    assert gradcheck(f, inputs)
    assert gradgradcheck(f, inputs)


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1), (1, 2)])
def test_convolution_with_some_gradients_only(which):
    tensors = [draw(2, 2, 4, 4), draw(3, 2, 3, 3, seed=1), draw(3, seed=2)]
    tensors = [tensor if at in which else tensor.detach() for at, tensor in enumerate(tensors)]

    def f(*chosen):
        full = list(tensors)
        for at, value in zip(which, chosen, strict=True):
            full[at] = value
        ones = [1, 1]
        return convolution(
            *full, stride=ones, padding=ones, dilation=ones, groups=1, plain=F.conv2d
        ).sin()

    assert gradgradcheck(f, [tensors[at] for at in which])


@pytest.mark.parametrize("shape", [(5, 3), (3, 3, 4), (3, 3, 2, 3), (2, 3, 2, 2, 2)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_twice(shape, affine):
    x = draw(*shape)
    parts = (draw(3, seed=1), draw(3, seed=2)) if affine else ()

    def f(x, *parts):
        return batch_norm(x, *(parts or (None, None)), 1e-5)

    torch.testing.assert_close(
        f(x, *parts), F.batch_norm(x, None, None, *(parts or (None, None)), True)
    )
    assert gradcheck(f, (x, *parts))
    assert gradgradcheck(f, (x, *parts))


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (1, 2), (0, 2)])
def test_batch_norm_with_some_gradients_only(which):
    tensors = [draw(3, 2, 2, 3), draw(2, seed=1), draw(2, seed=2)]
    tensors = [tensor if at in which else tensor.detach() for at, tensor in enumerate(tensors)]

    def f(*chosen):
        full = list(tensors)
        for at, value in zip(which, chosen, strict=True):
            full[at] = value
        return batch_norm(*full, 1e-5).sin()

    assert gradgradcheck(f, [tensors[at] for at in which])


def test_stored_statistics():
    x, mean, variance = (
        draw(3, 2, 2, 2),
        draw(2, seed=1),
        draw(2, seed=2).detach().exp().requires_grad_(),
    )
    weight, bias = draw(2, seed=3), draw(2, seed=4)
    expected = F.batch_norm(x, mean.detach(), variance.detach(), weight, bias, False)
    torch.testing.assert_close(normalise(x, mean, variance, weight, bias, 1e-5), expected)
    assert gradgradcheck(lambda *t: normalise(*t, 1e-5), (x, mean, variance, weight, bias))
    assert gradgradcheck(moments, (x,))


@pytest.mark.parametrize("fast", [True, False])
def test_third_derivatives_are_refused_or_right(fast):
    """torch.autograd.grad would drop them silently behind `once_differentiable`."""
    network = Network(nn.Sequential(nn.Conv1d(2, 2, 2), nn.BatchNorm1d(2)).double(), fast=fast)
    params, buffers = network.state()
    x = draw(3, 2, 4)

    def third():
        value = network.support(params, buffers, x)[0].pow(4).mean()
        for _ in range(3):
            (grad,) = torch.autograd.grad(value, x, create_graph=True)
            value = (grad * x.detach()).sum()
        return value

    if fast:
        with pytest.raises(TorchcrossError, match="fast=False"):
            third()
    else:
        assert torch.isfinite(third())


def test_second_derivative_under_vmap_is_that_of_the_loop():
    """torch 2.13's own batch_norm fails this."""
    x, weight, bias = draw(4, 6, 3, 2, 2), draw(3, seed=1), draw(3, seed=2)

    def inner(weight, x):
        return (batch_norm(x, weight, bias, 1e-5) ** 3).mean()

    def outer(weight, x):
        moved = weight - 0.5 * torch.func.grad(inner)(weight, x)
        return inner(moved, x)

    together = torch.func.grad(lambda w: torch.func.vmap(outer, (None, 0))(w, x).mean())(weight)
    each = []
    for item in x:
        leaf = weight.detach().requires_grad_()
        (slope,) = torch.autograd.grad(inner(leaf, item), leaf, create_graph=True)
        each.append(torch.autograd.grad(inner(leaf - 0.5 * slope, item), leaf)[0])
    torch.testing.assert_close(together, torch.stack(each).mean(0), rtol=1e-10, atol=1e-12)

"""Forward-mode rules of the fast operations, the fused pooling, and what `mixed` makes of them."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from tests.functional.test_ops import draw
from tests.functional.test_precision import Smooth, gap, problem_of
from torchcross.functional import Network, meta_gradient
from torchcross.functional.loop.derivatives import load_forward_rules
from torchcross.functional.network.ops import (
    PoolingWindow,
    batch_norm,
    convolution,
    pool_and_relu,
    pooled_batch_norm,
)

WINDOWS = {
    "apart": PoolingWindow([2, 2], [2, 2], [0, 0], [1, 1], False),
    "overlapping": PoolingWindow([3, 3], [2, 2], [1, 1], [1, 1], False),
    "dilated": PoolingWindow([2, 2], [1, 1], [0, 0], [2, 2], True),
}
LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last}


@pytest.fixture(autouse=True, scope="module")
def _rules():
    load_forward_rules()


def conv(x, weight, bias=None):
    return convolution(
        x,
        weight,
        bias,
        stride=[2, 2],
        padding=[1, 1],
        dilation=[1, 1],
        groups=1,
        plain=F.conv2d,
        channels_last=True,
    )


def norm(x, weight, bias):
    return batch_norm(x, weight, bias, 1e-5)


def check(f, tensors):
    assert gradcheck(f, tensors, check_forward_ad=True, check_undefined_grad=False)
    assert gradgradcheck(f, tensors, check_fwd_over_rev=True, check_undefined_grad=False)


def chosen(f, tensors, which):
    """`f` of some of the tensors alone, with a curved end: a constant second derivative would hide
    errors.
    """

    def of_some(*some):
        full = [tensor.detach() for tensor in tensors]
        for at, value in zip(which, some, strict=True):
            full[at] = value
        return f(*full).sin()

    return of_some, [tensors[at] for at in which]


@pytest.mark.parametrize("which", [(0, 1, 2), (0,), (1,), (2,), (0, 2), (1, 2)])
def test_convolution(which):
    check(*chosen(conv, [draw(2, 2, 4, 4), draw(3, 2, 3, 3, seed=1), draw(3, seed=2)], which))


@pytest.mark.parametrize("which", [(0, 1, 2), (0,), (1,), (2,), (0, 2), (1, 2)])
def test_batch_norm(which):
    check(*chosen(norm, [draw(3, 2, 2, 3), draw(2, seed=1), draw(2, seed=2)], which))


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("window", WINDOWS)
def test_pooled_batch_norm(window, layout):
    window, tensors = WINDOWS[window], (draw(3, 2, 5, 5, seed=3), draw(2, seed=1), draw(2, seed=2))

    def fused(x, weight, bias):
        return pooled_batch_norm(
            x.contiguous(memory_format=LAYOUTS[layout]), weight, bias, 1e-5, window
        )

    x, weight, bias = tensors
    expected = pool_and_relu(F.batch_norm(x, None, None, weight, bias, True), window)
    torch.testing.assert_close(fused(*tensors), expected)
    assert (expected == 0).any()
    check(fused, tensors)


@pytest.mark.slow
@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_pooled_batch_norm_of_some(which):
    def fused(x, weight, bias):
        return pooled_batch_norm(x, weight, bias, 1e-5, WINDOWS["apart"])

    check(*chosen(fused, [draw(3, 2, 4, 4), draw(2, seed=1), draw(2, seed=2)], which))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weight", [True, False])
@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (3, 2, 4)])
def test_pooled_batch_norm_without_a_part_of_the_affine_map(shape, weight, bias):
    """An epsilon as large as the variance shows whether it arrives."""
    x, window = draw(*shape).requires_grad_(), WINDOWS["apart"]
    parts = [draw(2, seed=1) if weight else None, draw(2, seed=2) if bias else None]
    result = pooled_batch_norm(x, *parts, 0.7, window)
    expected = pool_and_relu(F.batch_norm(x, None, None, *parts, True, 0.0, 0.7), window)
    torch.testing.assert_close(result, expected)
    slopes = [torch.autograd.grad(y.square().sum(), x)[0] for y in (result, expected)]
    torch.testing.assert_close(*slopes)
    fused = type(result.grad_fn).__name__ == "_PooledBackward"
    assert fused == (weight and bias and len(shape) == 4)


def test_pooled_batch_norm_inside_a_transform():
    x, weight, bias = draw(5, 3, 2, 4, 4), draw(2, seed=1), draw(2, seed=2)
    window = WINDOWS["overlapping"]

    def fused(one):
        return pooled_batch_norm(one, weight, bias, 0.7, window)

    torch.testing.assert_close(torch.func.vmap(fused)(x), torch.stack([fused(one) for one in x]))


def test_pooling_in_pieces(monkeypatch):
    tensors = (draw(5, 2, 4, 4), draw(2, seed=1), draw(2, seed=2))

    def slopes():
        y = pooled_batch_norm(*tensors, 1e-5, WINDOWS["apart"])
        return torch.autograd.grad(y.square().sum(), tensors)

    whole = slopes()
    monkeypatch.setattr("torchcross.functional.network.ops.pooled._INDICES_AT_A_TIME", 3)
    for ours, theirs in zip(slopes(), whole, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("engine", ["recompute", "mixed"])
def test_lean_engines_under_bfloat16(engine):
    network = Network(Smooth())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = meta_gradient(*problem_of(network, torch.float32))
        result = meta_gradient(*problem_of(network, torch.float32), engine=engine)
    exact = meta_gradient(*problem_of(network, torch.float32))
    assert all(value.dtype == torch.float32 for value in result.params.values())
    assert gap(result, exact) < 2 * gap(expected, exact)

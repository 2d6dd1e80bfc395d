"""Fused attention in networks: second derivatives are there, and nothing else changes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchcross.functional import Inner, Meta, Network, Problem, adapt, meta_gradient, sgd
from torchcross.functional.network.attention import second_derivatives

TOKENS, WIDTH = 5, 8


class Fused(nn.Module):
    """One layer of attention by torch's fused function, as most vision transformers call it."""

    def __init__(self, **options):
        super().__init__()
        self.mix = nn.Linear(WIDTH, 3 * WIDTH)
        self.options = options

    def forward(self, x):
        query, key, value = self.mix(x).unflatten(-1, (3, 2, WIDTH // 2)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, **self.options)
        return attended.mean((1, 2))


class Layer(nn.Module):
    """The layer of torch itself, which calls the fused function inside."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0].mean(1)


def closed_row():
    """A mask in which one token sees no other, nor itself."""
    mask = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril(1)
    mask[2] = False
    return mask


KINDS = {
    "plain": Fused,
    "causal": lambda: Fused(is_causal=True),
    "scaled": lambda: Fused(scale=0.3),
    "added": lambda: Fused(attn_mask=torch.linspace(-1, 1, TOKENS * TOKENS).view(TOKENS, TOKENS)),
    "masked": lambda: Fused(attn_mask=torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril(1)),
    "closed": lambda: Fused(attn_mask=closed_row()),
    "closed by numbers": lambda: Fused(
        attn_mask=torch.zeros(TOKENS, TOKENS).masked_fill(~closed_row(), -torch.inf)
    ),
    "layer": Layer,
}


@pytest.fixture(params=KINDS)
def module(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return KINDS[request.param]()


def problem_of(module):
    generator = torch.Generator().manual_seed(1)
    network = Network(module)
    params, buffers = network.state()
    x = torch.randn(2, 4, TOKENS, WIDTH, generator=generator)

    def support(params, buffers, data, step):
        output, buffers = network.support(params, buffers, data["x"][0])
        return output.square().sum(), buffers

    def query(params, buffers, data, step):
        output, buffers = network.query(params, buffers, data["x"][1], statistics={})
        return output.sin().sum(), buffers

    return Problem(Inner(support, query, sgd(), 2), {"x": x}, {}, "one"), Meta(params, 0.1, buffers)


@pytest.mark.parametrize("engine", ["reverse", "recompute", "mixed", "implicit"])
def test_meta_gradients_are_those_of_the_plain_loop(module, engine):
    """Compared with a loop under torch's own setting for kernels with second derivatives."""
    problem, meta = problem_of(module)
    if engine == "implicit":
        assert meta_gradient(problem, meta, engine=engine).loss.isfinite()
        return
    result = meta_gradient(problem, meta, engine=engine)
    start = {name: value.detach().requires_grad_() for name, value in meta.params.items()}
    params = dict(start)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for _ in range(2):
            loss = torch.func.functional_call(module, params, (problem.data["x"][0],))
            grads = torch.autograd.grad(
                loss.square().sum(), list(params.values()), create_graph=True
            )
            steps = zip(params.items(), grads, strict=True)
            params = {name: value - 0.1 * grad for (name, value), grad in steps}
        query = torch.func.functional_call(module, params, (problem.data["x"][1],)).sin().sum()
        expected = torch.autograd.grad(query, list(start.values()))
    torch.testing.assert_close(result.loss, query.detach())
    for name, grad in zip(start, expected, strict=True):
        torch.testing.assert_close(result.params[name], grad, rtol=1e-4, atol=1e-6)


def test_fused_kernels_stay_where_one_derivative_is_enough(module, monkeypatch):
    calls = []
    real = torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda *args: calls.append(1) or real(*args))
    problem, meta = problem_of(module)
    adapt(problem, meta)
    meta_gradient(problem, meta, engine="first_order")
    assert not calls
    meta_gradient(problem, meta)
    assert calls


def test_the_setting_belongs_to_the_block():
    module = Fused()
    network = Network(module)
    x = torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(0))
    with second_derivatives(True), second_derivatives(False):
        fused, _ = network.support(*network.state(), x)
    with second_derivatives(True):
        defined, _ = network.support(*network.state(), x)
    torch.testing.assert_close(fused, defined)
    assert torch.equal(fused, network.support(*network.state(), x)[0])

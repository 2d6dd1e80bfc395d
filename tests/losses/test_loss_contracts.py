"""What every loss keeps: derivatives, transforms, missing labels, extreme logits. One table drives
all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, jvp, vmap

from torchcross import losses

# The first forward-mode derivative in a process compiles torch's own decompositions with
# torch.jit.script.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


@dataclass(frozen=True)
class Case:
    """A loss with the shape of its logits' row and the number of label values; (N, L) labels if
    multi.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    columns: int
    values: int
    multi: bool = False


PAIRS = [[0.5, 2.0], [1.0, 1.0], [3.0, 0.1]]
CASES = {
    "cross_entropy": Case(losses.cross_entropy, 4, 4),
    "cross_entropy, weighted": Case(
        partial(losses.cross_entropy, class_weights=[1.0, 2.0, 0.5], smoothing=0.1), 3, 3
    ),
    "binary": Case(losses.binary_cross_entropy, 1, 2),
    "binary, weighted": Case(
        partial(losses.binary_cross_entropy, class_weights=[1.0, 4.0], smoothing=0.1), 1, 2
    ),
    "binary focal": Case(losses.binary_focal, 1, 2),
    "binary focal, alpha": Case(partial(losses.binary_focal, gamma=0.5, alpha=0.3), 1, 2),
    "multi-label": Case(losses.multilabel_binary_cross_entropy, 3, 2, multi=True),
    "multi-label, weighted": Case(
        partial(losses.multilabel_binary_cross_entropy, class_weights=PAIRS, smoothing=0.1),
        3,
        2,
        multi=True,
    ),
    "multi-label focal": Case(partial(losses.multilabel_focal, alpha=0.7), 3, 2, multi=True),
    "coral": Case(losses.coral, 3, 4),
    "coral, two ranks": Case(losses.coral, 1, 2),
    "corn": Case(losses.corn, 3, 4),
    "corn, two ranks": Case(losses.corn, 1, 2),
    "cumulative link": Case(losses.cumulative_link, 4, 4),
    "cumulative link, two ranks": Case(losses.cumulative_link, 2, 2),
    "earth mover's": Case(partial(losses.earth_movers, gaps=[1.0, 3.0, 2.0]), 4, 4),
    "earth mover's, two ranks": Case(partial(losses.earth_movers, gaps=[5.0]), 2, 2),
    "soft labels": Case(partial(losses.soft_labels, grades=[0.0, 1.0, 4.0, 6.0], tau=2.0), 4, 4),
}

every_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def draw(case: Case, rows: int, seed: int = 0, missing: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(rows, case.columns, generator=generator, dtype=torch.float64)
    shape = (rows, case.columns) if case.multi else (rows,)
    y = torch.randint(-1 if missing else 0, case.values, shape, generator=generator)
    y[0] = 1
    return z, y


@pytest.mark.slow
@every_loss
def test_first_and_second_derivatives(case: Case) -> None:
    z, y = draw(case, 5)
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: case.loss(z, y), z)
    assert torch.autograd.gradgradcheck(lambda z: case.loss(z, y), z)


@pytest.mark.slow
@every_loss
def test_vmap_of_grad_is_the_loop(case: Case) -> None:
    pairs = [draw(case, 6, seed) for seed in range(4)]
    z, y = torch.stack([z for z, _ in pairs]), torch.stack([y for _, y in pairs])
    together = vmap(grad(case.loss))(z, y)
    one_by_one = torch.stack([grad(case.loss)(a, b) for a, b in pairs])
    torch.testing.assert_close(together, one_by_one)
    curvatures = vmap(hessian(case.loss))(z, y)
    torch.testing.assert_close(
        curvatures, torch.stack([hessian(case.loss)(a, b) for a, b in pairs])
    )


@every_loss
def test_forward_mode_is_reverse_mode(case: Case) -> None:
    z, y = draw(case, 6)
    direction = draw(case, 6, seed=9)[0]
    _, forward = jvp(lambda z: case.loss(z, y), (z,), (direction,))
    torch.testing.assert_close(forward, (grad(case.loss)(z, y) * direction).sum())
    _, product = jvp(lambda z: grad(case.loss)(z, y), (z,), (direction,))
    n = z.numel()
    dense = hessian(case.loss)(z, y).reshape(n, n) @ direction.reshape(n)
    torch.testing.assert_close(product.reshape(n), dense)


@every_loss
def test_missing_rows_are_as_if_dropped(case: Case) -> None:
    z, y = draw(case, 7, missing=False)
    y[1::2] = losses.MISSING
    torch.testing.assert_close(case.loss(z, y), case.loss(z[::2], y[::2]))
    gradient = grad(case.loss)(z, y)
    torch.testing.assert_close(gradient[::2], grad(case.loss)(z[::2], y[::2]))
    assert not gradient[1::2].any()


@every_loss
@pytest.mark.parametrize("junk", [1e4, -1e4, 3e38, float("inf"), float("-inf"), float("nan")])
def test_logits_of_missing_entries_never_show(case: Case, junk: float) -> None:
    z, y = draw(case, 6)
    z, y = z.float(), y.clone()
    y[3] = losses.MISSING
    spoiled = z.masked_fill((y if case.multi else y.unsqueeze(1)) == losses.MISSING, junk)
    assert case.loss(spoiled, y).equal(case.loss(z, y))
    assert grad(case.loss)(spoiled, y).equal(grad(case.loss)(z, y))
    assert hessian(case.loss)(spoiled, y).isfinite().all()


@every_loss
@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_known_is_zero_with_zero_gradient(case: Case, rows: int) -> None:
    z = torch.full((rows, case.columns), 1e4, requires_grad=True)
    y = torch.full((rows, case.columns) if case.multi else (rows,), losses.MISSING)
    value = case.loss(z, y)
    assert value.item() == 0.0
    value.backward()
    assert z.grad is not None
    assert not z.grad.any()


@every_loss
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_extreme_logits_stay_finite(case: Case, size: float) -> None:
    signs = torch.tensor([1.0, -1.0, 1.0, 1.0])
    patterns = torch.stack([signs, -signs, torch.ones(4), -torch.ones(4), signs.roll(2)])
    z = size * patterns[:, : case.columns].repeat_interleave(case.values, dim=0)
    y = torch.arange(case.values).repeat(len(patterns))
    if case.multi:
        y = y.unsqueeze(1).expand(-1, case.columns)
    for row, label in zip(z.split(1), y.split(1), strict=True):
        assert case.loss(row, label).isfinite()
        assert grad(case.loss)(row, label).isfinite().all()
        assert hessian(case.loss)(row, label).isfinite().all()


@every_loss
def test_wrong_and_sure_costs_more_than_right_and_sure(case: Case) -> None:
    z, y = draw(case, 8, missing=False)
    before = case.loss(z, y)
    after = case.loss(z - 0.01 * grad(case.loss)(z, y), y)
    assert after < before
    assert after.shape == ()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_precision(case: Case, dtype: torch.dtype) -> None:
    z, y = draw(case, 6)
    z = z.to(dtype)
    value = case.loss(z, y)
    assert value.dtype == (dtype if dtype in (torch.float32, torch.float64) else torch.float32)
    torch.testing.assert_close(value.double(), case.loss(z.double(), y), rtol=1e-5, atol=1e-6)


def test_half_precision_counts_do_not_overflow() -> None:
    z, y = torch.zeros(70_000, 1, dtype=torch.float16), torch.ones(70_000, dtype=torch.int64)
    assert losses.binary_cross_entropy(z, y).item() == pytest.approx(0.6931, abs=1e-4)


@every_loss
def test_arguments_and_global_randomness_are_left_alone(case: Case) -> None:
    z, y = draw(case, 6)
    before, state = (z.clone(), y.clone()), torch.get_rng_state()
    case.loss(z, y)
    assert z.equal(before[0])
    assert y.equal(before[1])
    assert torch.get_rng_state().equal(state)


def test_a_zero_head_has_the_right_curvature() -> None:
    """At z = 0 a kinked formula of log-sigmoid would have gradient 0 or 1 and no curvature."""
    z, y = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([1])
    assert grad(losses.binary_cross_entropy)(z, y).item() == -0.5
    assert hessian(losses.binary_cross_entropy)(z, y).item() == 0.25


def test_softplus_is_exact_in_float64() -> None:
    z, y = torch.tensor([[25.0], [38.0], [45.0]], dtype=torch.float64), torch.tensor([1, 1, 1])
    for row, size in zip(z, (25.0, 38.0, 45.0), strict=True):
        right = losses.binary_cross_entropy(row.unsqueeze(0), y[:1]).item()
        wrong = losses.binary_cross_entropy(-row.unsqueeze(0), y[:1]).item()
        assert right == pytest.approx(
            torch.tensor(-size, dtype=torch.float64).exp().item(), rel=1e-10
        )
        assert wrong == pytest.approx(size + right, rel=1e-15)

"""From logits to probabilities and decisions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch import Tensor
from torch.func import grad, vmap

from tests.examples import max_examples
from torchcross import losses

# Name -> (link, logits per row for K ranks).
LINKS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[int], int]]] = {
    "softmax": (losses.softmax, lambda ranks: ranks),
    "coral": (losses.coral_probabilities, lambda ranks: ranks - 1),
    "corn": (losses.corn_probabilities, lambda ranks: ranks - 1),
    "cumulative link": (losses.cumulative_link_probabilities, lambda ranks: ranks),
}
every_link = pytest.mark.parametrize("name", LINKS)
LN3 = math.log(3.0)


def logits(columns: int, size: float) -> st.SearchStrategy[Tensor]:
    rows = npst.arrays(np.float32, (3, columns), elements=st.floats(-size, size, width=32))
    return rows.map(torch.from_numpy)


@pytest.mark.slow
@every_link
@max_examples(60)
@given(data=st.data(), ranks=st.integers(2, 8), size=st.sampled_from([3.0, 100.0, 1e4]))
def test_probabilities_are_probabilities(
    name: str, data: st.DataObject, ranks: int, size: float
) -> None:
    link, columns = LINKS[name]
    z = data.draw(logits(columns(ranks), size))
    p = link(z)
    assert p.shape == (3, ranks)
    assert p.isfinite().all()
    assert (p >= 0).all()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(3), rtol=0, atol=3e-6)


@pytest.mark.parametrize("size", [1e2, 1e3, 1e4])
def test_cumulative_rows_sum_to_one_beyond_a_gap_that_rounds(size: float) -> None:
    """Far below f a small gap is lost to float32; the gaps that follow a large one must not be."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 7, generator=generator)
    z[:, 1] = -size
    z[:, 3] += size
    torch.testing.assert_close(losses.cumulative_link_probabilities(z).sum(dim=1), torch.ones(200))


@every_link
@max_examples(24)
@given(data=st.data(), ranks=st.integers(2, 6))
def test_float32_agrees_with_float64(name: str, data: st.DataObject, ranks: int) -> None:
    link, columns = LINKS[name]
    z = data.draw(logits(columns(ranks), 30.0))
    torch.testing.assert_close(link(z).double(), link(z.double()), rtol=1e-3, atol=1e-6)


def test_links_by_hand() -> None:
    z = torch.tensor([[LN3, 0.0]], dtype=torch.float64)  # s = 3/4, 1/2
    coral = torch.tensor([[0.25, 0.25, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(losses.coral_probabilities(z), coral)
    torch.testing.assert_close(losses.coral_probabilities(z.flip(1)), coral)
    corn = torch.tensor([[0.25, 0.375, 0.375]], dtype=torch.float64)
    torch.testing.assert_close(losses.corn_probabilities(z), corn)
    cumulative = losses.cumulative_link_probabilities(
        torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    )
    expected = torch.tensor([[0.5, 2 / 3 - 0.5, 1 / 3]], dtype=torch.float64)  # s(ln 2) = 2/3
    torch.testing.assert_close(cumulative, expected)


@max_examples(36)
@given(data=st.data(), ranks=st.integers(2, 6))
def test_links_and_losses_speak_of_the_same_probabilities(data: st.DataObject, ranks: int) -> None:
    z = data.draw(logits(ranks, 8.0)).double()
    for rank in range(ranks):
        y = torch.full((3,), rank)
        p = losses.cumulative_link_probabilities(z)[:, rank]
        torch.testing.assert_close(losses.cumulative_link(z, y), -p.log().mean())
        p = losses.softmax(z)[:, rank]
        torch.testing.assert_close(losses.cross_entropy(z, y), -p.log().mean())
        # CORN's likelihood of a rank is the product of the terms that the rank reaches.
        terms = min(rank + 1, ranks - 1)
        p = losses.corn_probabilities(z[:, 1:])[:, rank]
        torch.testing.assert_close(losses.corn(z[:, 1:], y) * terms, -p.log().mean())


@max_examples(60)
@given(data=st.data(), ranks=st.integers(2, 7), size=st.sampled_from([3.0, 1e4]))
def test_decisions_are_the_medians_of_the_distributions(
    data: st.DataObject, ranks: int, size: float
) -> None:
    z = data.draw(logits(ranks - 1, size)).double()
    pairs = [
        (losses.coral_decision(z), losses.coral_probabilities(z)),
        (losses.corn_decision(z), losses.corn_probabilities(z)),
    ]
    for decision, p in pairs:
        at_least = p.flip(1).cumsum(1).flip(1)[:, 1:]
        clear = ((at_least - 0.5).abs() > 1e-9).all(dim=1)
        assert decision[clear].equal((at_least > 0.5).sum(dim=1)[clear])


def test_decisions_by_hand() -> None:
    z = torch.tensor([[1.0, 1.0, -1.0], [-1.0, 2.0, 2.0], [0.0, 0.0, 0.0], [9.0, 9.0, 9.0]])
    assert losses.coral_decision(z).tolist() == [2, 2, 0, 3]
    # s(1)^2 = .534 > .5, s(-1) s(2) = .24
    assert losses.corn_decision(z).tolist() == [2, 0, 0, 3]
    assert losses.coral_decision(z[:, :1]).tolist() == [1, 0, 0, 1]
    assert losses.corn_decision(z[:, :1]).tolist() == [1, 0, 0, 1]


@every_link
def test_two_ranks_are_one_sigmoid(name: str) -> None:
    link, columns = LINKS[name]
    z = torch.tensor([[0.7], [-30.0]], dtype=torch.float64)
    rows = z if columns(2) == 1 else torch.cat([torch.zeros_like(z), z], dim=1)
    upper = torch.sigmoid(z)
    # The cumulative link's column 1 is the threshold: a higher one means a lower rank.
    expected = [upper, 1 - upper] if name == "cumulative link" else [1 - upper, upper]
    torch.testing.assert_close(link(rows), torch.cat(expected, dim=1))


@pytest.mark.slow
@every_link
def test_links_differentiate_and_vectorise(name: str) -> None:
    link, columns = LINKS[name]
    z = torch.randn(
        5, 4, columns(4), generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    z[0, 0] = 1e3 * z[0, 0].sign()
    torch.testing.assert_close(vmap(link)(z), torch.stack([link(rows) for rows in z]))

    def entropy(rows: Tensor) -> Tensor:
        return link(rows).square().sum()

    gradients = vmap(grad(entropy))(z)
    assert gradients.isfinite().all()
    torch.testing.assert_close(gradients, torch.stack([grad(entropy)(rows) for rows in z]))
    rows = z[1].clone().requires_grad_()
    assert torch.autograd.gradcheck(link, rows)


@every_link
def test_half_precision_is_computed_in_float32(name: str) -> None:
    link, columns = LINKS[name]
    assert link(torch.zeros(2, columns(3), dtype=torch.bfloat16)).dtype == torch.float32

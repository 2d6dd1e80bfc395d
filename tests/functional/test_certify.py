import pytest
import torch
from torch import nn

from tests.functional.reference import head_of, losses_of
from tests.functional.test_engines import EXACT, POLICIES, episode
from torchcross.functional import (
    Implicit,
    Inner,
    Meta,
    Network,
    Problem,
    certify_engine,
    certify_problem,
    sgd,
)


@pytest.mark.long
@pytest.mark.parametrize("engine", [*EXACT, "first_order", Implicit(1.0, 50, 1e-14)])
def test_closed_form(engine):
    rows = certify_engine(engine)
    assert rows
    assert all(row.holds for row in rows), rows


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("policy", POLICIES)
def test_finite_differences(engine, policy):
    problem, meta = episode(policy=policy)
    rows = certify_problem(problem, meta, engine=engine, directions=1)
    assert len(rows) == 2
    assert all(row.holds and row.order == 2 and not row.note for row in rows), rows


def test_finite_differences_of_adam():
    problem, meta = episode(kind="adam")
    rows = certify_problem(problem, meta, directions=1)
    assert all(row.holds for row in rows), rows


def test_first_order_states_its_order_and_claims_nothing():
    rows = certify_problem(*episode(), engine="first_order", directions=1)
    assert all(row.order == 1 and row.holds is None and row.error > 1e-4 for row in rows), rows


def test_a_wrong_gradient_is_found():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return 1.01 * grad

    problem, meta = episode()

    def query(params, buffers, data, step):
        loss, buffers = problem.inner.query(params, buffers, data, step)
        return Wrong.apply(loss), buffers

    inner = Inner(problem.inner.support, query, problem.inner.optimiser, 2)
    rows = certify_problem(Problem(inner, problem.data, problem.own), meta, directions=1)
    assert all(row.holds is False for row in rows), rows


def test_kinks_are_reported():
    class Kinked(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, 1))

        def forward(self, x):
            return (self.weight * x.mean()).abs().T * 1.0 + torch.zeros(len(x), 4, dtype=x.dtype)

    network = Network(Kinked())
    params, buffers = network.state()
    problem, _ = episode()
    inner = Inner(*losses_of(network), sgd(), 0)
    point = {"weight": torch.full((4, 1), 2e-7)}
    rows = certify_problem(
        Problem(inner, problem.data, head_of()), Meta(point, 0.1, buffers), directions=1
    )
    assert all("kink" in row.note for row in rows), rows
    assert params["weight"].shape == (4, 1)

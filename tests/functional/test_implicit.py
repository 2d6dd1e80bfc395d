import pytest
import torch

from tests.functional.reference import assert_close
from tests.functional.test_engines import episode
from torchcross.errors import InputError
from torchcross.functional import (
    Implicit,
    Inner,
    Meta,
    Problem,
    meta_gradient,
    meta_loss,
    select,
    sgd,
)


def flat(tree):
    return torch.cat([value.reshape(-1) for value in tree.values()])


@pytest.mark.parametrize("adapted", ["*", ("head.*", "norm2*")])
def test_implicit_is_the_dense_solve(adapted):
    """x = (I + H/strength)^-1 dq at the point reached, with the Hessian written out."""
    problem, meta = episode(adapted=adapted, steps=4)
    strength = 20.0
    engine = Implicit(strength=strength, iterations=200, tolerance=1e-14)
    result = meta_gradient(problem, meta, engine=engine)
    assert float(result.residual) < 1e-12

    everything = {name: value.detach() for name, value in {**meta.params, **problem.own}.items()}
    adapted_names = [name for name in everything if name in select(everything, adapted)]
    anchor = {name: everything[name] for name in adapted_names}
    here = dict(everything)
    for _ in range(4):
        leaves = {name: here[name].detach().requires_grad_() for name in adapted_names}
        loss, _ = problem.inner.support({**here, **leaves}, meta.buffers, problem.data, 0)
        grads = torch.autograd.grad(loss, list(leaves.values()))
        here |= {
            name: (
                leaves[name].detach()
                - meta.rates * (g + strength * (leaves[name].detach() - anchor[name]))
            )
            for (name, g) in zip(adapted_names, grads, strict=True)
        }
    fixed_names = [name for name in everything if name not in adapted_names]
    leaves = {name: value.detach().requires_grad_() for name, value in here.items()}
    support, _ = problem.inner.support(leaves, meta.buffers, problem.data, 0)
    query, _ = problem.inner.query(leaves, meta.buffers, problem.data, 4)
    inputs = [leaves[name] for name in adapted_names]
    slope = flat(dict(enumerate(torch.autograd.grad(support, inputs, create_graph=True))))
    everything_in = [leaves[name] for name in [*adapted_names, *fixed_names]]
    rows = [
        torch.autograd.grad(
            entry, everything_in, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for entry in slope
    ]
    matrix = torch.stack([flat(dict(enumerate(row))) for row in rows])
    size = len(slope)
    dq = flat(dict(enumerate(torch.autograd.grad(query, everything_in))))
    x = torch.linalg.solve(
        torch.eye(size, dtype=torch.float64) + matrix[:, :size] / strength, dq[:size]
    )
    rest = dq[size:] - matrix[:, size:].T @ x / strength
    grads = {**result.params, **result.own}
    assert_close(
        {"adapted": flat({n: grads[n] for n in adapted_names})},
        {"adapted": x},
    )
    if fixed_names:
        assert_close({"fixed": flat({n: grads[n] for n in fixed_names})}, {"fixed": rest})


def test_implicit_refuses_what_it_cannot_see():
    problem, meta = episode(weights=(0.5, 0.25, 0.25))
    with pytest.raises(InputError, match="query_weights"):
        meta_gradient(problem, meta, engine="implicit")
    with torch.no_grad(), pytest.raises(InputError, match="query_weights"):
        meta_loss([problem], meta, engine="implicit")
    with pytest.raises(InputError, match="strength"):
        Implicit(strength=0.0)
    with pytest.raises(InputError, match="a whole number of iterations"):
        Implicit(iterations=2.5)


def test_conjugate_gradients_report_their_residual():
    problem, meta = episode(steps=2)
    rough = meta_gradient(problem, meta, engine=Implicit(strength=1.0, iterations=1))
    fine = meta_gradient(
        problem, meta, engine=Implicit(strength=1.0, iterations=50, tolerance=1e-12)
    )
    assert float(fine.residual) < 1e-6 < float(rough.residual)


def test_a_point_that_is_solved_already():
    """A zero query gradient: conjugate gradients start at the solution, and nothing is divided by
    zero.
    """
    inner = Inner(
        lambda p, b, d, s: (p["x"].square().sum(), b),
        lambda p, b, d, s: (0.0 * p["x"].sum(), b),
        sgd(),
        1,
    )
    meta = Meta({"x": torch.ones(3, dtype=torch.float64)})
    result = meta_gradient(Problem(inner, {}), meta, engine="implicit")
    assert not result.params["x"].any()
    assert float(result.residual) == 0.0

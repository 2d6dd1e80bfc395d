"""In a dictionary of rates, names stand before the rate of all others."""

import dataclasses

import pytest
import torch

from tests.functional.reference import assert_close
from tests.functional.test_engines import EXACT, episode
from torchcross.functional import adapt, meta_gradient


def rates_of(problem, meta, rest, own):
    """(short, the same with every name written out)."""
    names = [*meta.params, *problem.own]
    return (
        {"*": rest, "head.weight": own},
        {name: own if name == "head.weight" else rest for name in names},
    )


@pytest.mark.parametrize("engine", [*EXACT, "first_order"])
@pytest.mark.parametrize("make", [float, lambda rate: torch.tensor(rate, dtype=torch.float64)])
def test_a_name_stands_before_the_rate_of_all_others(make, engine):
    problem, meta = episode()
    short, written_out = (
        meta_gradient(problem, dataclasses.replace(meta, rates=rates), engine=engine)
        for rates in rates_of(problem, meta, make(0.3), make(0.05))
    )
    torch.testing.assert_close(short.loss, written_out.loss, rtol=1e-12, atol=0)
    assert_close(short.params, written_out.params)
    if make is not float:
        others = [rate for name, rate in written_out.rates.items() if name != "head.weight"]
        head = written_out.rates["head.weight"]
        assert_close(short.rates, {"*": sum(others), "head.weight": head})


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_adaptation_does_the_same(kind):
    problem, meta = episode(kind=kind)
    short, written_out = (
        adapt(problem, dataclasses.replace(meta, rates=rates)).params
        for rates in rates_of(problem, meta, 0.3, 0.05)
    )
    assert all(torch.equal(short[name], value) for name, value in written_out.items())

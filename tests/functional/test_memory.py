import dataclasses

import pytest
import torch

from tests.functional.reference import Net, data_of, head_of, losses_of
from tests.functional.test_engines import EXACT
from torchcross.functional import Inner, Meta, Network, Problem, estimate, meta_gradient, peak_memory, sgd

FACTOR = 1.1


def large(steps=8):
    network = Network(Net(channels=16).float())
    params, buffers = network.state()
    data = {name: value.float() if value.is_floating_point() else value for name, value in data_of(0, size=24).items()}
    own = {name: value.float() for name, value in head_of().items()}
    return Problem(Inner(*losses_of(network), sgd(), steps), data, own), Meta(params, 0.1, buffers)


@pytest.mark.parametrize("engine", [*EXACT, "first_order"])
def test_the_prediction_is_what_is_measured(engine):
    problem, meta = large()
    predicted = estimate(problem, meta, engine=engine)
    _, measured = peak_memory(lambda: meta_gradient(problem, meta, engine=engine))
    assert measured / FACTOR <= predicted.peak <= measured * FACTOR
    assert (predicted.engine, predicted.steps) == (engine, 8)


@pytest.mark.parametrize("engine", ["recompute", "mixed"])
def test_lean_engines_grow_by_the_parameters_alone(engine):
    problem, meta = large()
    size = sum(value.nbytes for value in [*meta.params.values(), *problem.own.values()])
    grown = estimate(problem, meta, engine=engine)
    assert size <= grown.per_step <= 1.1 * size + 1024
    assert estimate(problem, meta, engine="reverse").per_step > 20 * size


def test_one_graph_at_a_time():
    from torchcross.functional import meta_loss

    problem, meta = large(3)
    meta = dataclasses.replace(meta, params={n: v.detach().requires_grad_() for n, v in meta.params.items()})
    _, one = peak_memory(lambda: meta_loss([problem], meta))
    _, many = peak_memory(lambda: meta_loss([problem] * 6, meta))
    assert many < 1.1 * one


def test_the_watch_counts_what_lives():
    def run():
        first = torch.zeros(1000)
        second = first.view(10, 100)
        del first
        third = torch.zeros(500)
        del second, third
        return torch.zeros(100)

    result, peak = peak_memory(run)
    assert (len(result), peak) == (100, 6000)

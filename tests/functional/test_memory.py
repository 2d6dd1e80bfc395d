import dataclasses

import pytest
import torch

from tests.functional.reference import Net, data_of, head_of, losses_of
from tests.functional.test_engines import EXACT
from torchcross.functional import (
    Inner,
    Meta,
    Mixed,
    Network,
    Problem,
    Recompute,
    estimate,
    meta_gradient,
    meta_loss,
    peak_memory,
    sgd,
)

FACTOR = 1.1


def large(steps=8):
    network = Network(Net(channels=16).float())
    params, buffers = network.state()
    data = {
        name: value.float() if value.is_floating_point() else value
        for name, value in data_of(0, size=24).items()
    }
    own = {name: value.float() for name, value in head_of().items()}
    return Problem(Inner(*losses_of(network), sgd(), steps), data, own), Meta(params, 0.1, buffers)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [*EXACT, "first_order"])
def test_the_prediction_is_what_is_measured(engine):
    problem, meta = large()
    predicted = estimate(problem, meta, engine=engine)
    _, measured = peak_memory(lambda: meta_gradient(problem, meta, engine=engine))
    assert measured / FACTOR <= predicted.peak <= measured * FACTOR
    assert (predicted.engine, predicted.steps) == (engine, 8)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Recompute, Mixed])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_lean_engines_grow_by_the_parameters_alone(engine, every):
    problem, meta = large()
    size = sum(value.nbytes for value in [*meta.params.values(), *problem.own.values()])
    grown = estimate(problem, meta, engine=engine(every=every))
    assert size <= grown.per_step * every + every <= 1.1 * size + 1024
    assert estimate(problem, meta, engine="reverse").per_step > 20 * size


@pytest.mark.parametrize("engine", [Recompute(every=3), Mixed(every=4)])
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_the_prediction_where_few_steps_are_kept(engine, steps):
    problem, meta = large(steps)
    _, measured = peak_memory(lambda: meta_gradient(problem, meta, engine=engine))
    assert measured / FACTOR <= estimate(problem, meta, engine=engine).peak <= measured * FACTOR


@pytest.mark.parametrize(
    ("engine", "sets"), [(Recompute(), 4.4), (Mixed(), 3.7), (Recompute(every=1), 5.4)]
)
def test_few_sets_of_parameters_are_alive_at_once(engine, sets):
    """Wide layers on few samples: beside the parameters all else is small."""
    width = 100
    params = {str(at): torch.randn(width, width) / width for at in range(12)}

    def loss(params, buffers, data, step):
        for weight in params.values():
            data = torch.tanh(data @ weight)
        return data.square().mean(), buffers

    problem = Problem(Inner(loss, loss, sgd(), 4), torch.randn(3, width))
    size = sum(value.nbytes for value in params.values())
    _, peak = peak_memory(lambda: meta_gradient(problem, Meta(params, 0.1), engine=engine))
    assert peak < sets * size


@pytest.mark.long
@pytest.mark.parametrize("engine", ["recompute", "mixed"])
def test_an_episode_leaves_nothing_to_the_next(engine):
    problem, meta = large(3)
    size = sum(value.nbytes for value in meta.params.values())
    meta = dataclasses.replace(
        meta, params={n: v.detach().requires_grad_() for n, v in meta.params.items()}
    )
    _, one = peak_memory(lambda: meta_loss([problem], meta, engine=engine))
    _, many = peak_memory(lambda: meta_loss([problem] * 4, meta, engine=engine))
    assert many < one + 0.5 * size


def test_one_graph_at_a_time():
    problem, meta = large(3)
    meta = dataclasses.replace(
        meta, params={n: v.detach().requires_grad_() for n, v in meta.params.items()}
    )
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

"""Reptile as published: its inner Adam goes on from task to task, in mini-batches."""

import copy

import pytest
import torch
from torch.func import functional_call

from tests.algorithms.cases import Net, episode_of
from torchcross import Task, TensorSource
from torchcross.algorithms import LearnedHeads, Reptile
from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.algorithms._shared.support_views import batch_rows
from torchcross.data import EpisodeSampler
from torchcross.errors import InputError
from torchcross.functional import Inner, Meta, Problem, adam, adapt
from torchcross.functional.loop.carried_state import carry_on
from torchcross.targets import MultiClass
from torchcross.training import FitOptions, fit

TARGET = MultiClass(["a", "b", "c"])
EPISODES = [episode_of(TARGET, seed) for seed in (0, 1)]
CARRIED = [
    (0.1946083317, -0.2656751657, -0.0177667085),
    (0.1225016972, -0.2739740510, -0.0467514427),
]
RESET = [(0.1946083317, -0.1974051051, -0.0006991933), (None, None, -0.0013971372)]


def published(net=None):
    net = Net() if net is None else net
    learner = Reptile.as_published(net, ways=3, features=4)
    return learner.double()


@pytest.mark.parametrize(("carry", "golden"), [(True, CARRIED), (False, RESET)])
def test_two_tasks_with_carried_and_with_fresh_state(carry, golden):
    """theta, of loss (theta - a)^2 / 2, for the tasks a = 1 and a = -2 by turns."""
    optimiser = adam((0.0, 0.999), eps_corrected=True)
    state, steps, phi = {}, 0, torch.zeros((), dtype=torch.float64)
    for first, second, after in golden:
        ends = []
        for goal in (1.0, -2.0):
            used = carry_on(optimiser, state, steps) if carry else optimiser

            def loss(params, buffers, data, step, goal=goal):
                return (params["theta"] - goal) ** 2 / 2, buffers

            end = adapt(Problem(Inner(loss, loss, used, 2), {}), Meta({"theta": phi}, 0.1))
            state, steps = end.optimiser, steps + 2
            ends.append(end.params["theta"])
        phi = phi + 0.5 * (torch.stack(ends).mean() - phi)
        for value, expected in zip((*ends, phi), (first, second, after), strict=True):
            if expected is not None:
                assert value.item() == pytest.approx(expected, abs=6e-11)


def test_adam_of_tensorflow_in_place_is_the_pure_one():
    params = {"p": torch.tensor([1.0, -2.0], dtype=torch.float64)}
    grads = {"p": torch.tensor([3e-8, 1.0], dtype=torch.float64)}
    optimiser = carry_on(adam((0.0, 0.9), eps_corrected=True), {}, 3)
    pure, _ = optimiser.update(grads, optimiser.init(params), params, {"*": 0.1}, 1)
    moved = {"p": params["p"].clone()}
    state = {name: value.clone() for name, value in optimiser.init(params).items()}
    optimiser.move(grads, state, moved, 0.1, 1)
    torch.testing.assert_close(moved["p"], pure["p"], rtol=1e-12, atol=0)
    root = 0.1**0.5 * grads["p"]
    by_hand = params["p"] - 0.1 * (1 - 0.9**5) ** 0.5 * grads["p"] / (root + 1e-8)
    torch.testing.assert_close(pure["p"], by_hand, rtol=1e-12, atol=0)


def by_hand(learner, episodes, state, count):
    """The published outer step: (the mean of phi - theta, Adam's squares, its steps)."""
    net = copy.deepcopy(learner.backbone).train()
    start = {name: value.detach() for name, value in net.named_parameters()}
    head = {name: value.detach() for name, value in learner.heads.of(episodes[0].task).items()}
    ways = []
    for episode in episodes:
        params = {**start, **head}
        x = torch.cat([episode.support.x, episode.query.x])
        y = torch.cat([episode.support.y, episode.query.y])
        key = DrawKey("episode", 0, episode.plan.index)
        for rows in batch_rows(len(x), 10, 8, key, x.device):
            at = {name: value.clone().requires_grad_() for name, value in params.items()}
            features = functional_call(net, {name: at[name] for name in start}, (x[rows],))
            logits = features @ at["head.weight"].T + at["head.bias"]
            slopes = torch.autograd.grad(TARGET.loss(logits, y[rows]), list(at.values()))
            count += 1
            for (name, value), slope in zip(at.items(), slopes, strict=True):
                square = 0.999 * state.get(name, 0.0) + 0.001 * slope**2
                state = {**state, name: square}
                rate = 1e-3 * (1 - 0.999**count) ** 0.5
                params[name] = value.detach() - rate * slope / (square.sqrt() + 1e-8)
        ways.append({name: (start | head)[name] - value for name, value in params.items()})
    mean = {name: torch.stack([way[name] for way in ways]).mean(0) for name in params}
    return mean, state, count


def test_outer_steps_are_those_of_the_published_loop():
    learner, state, count = published(), {}, 0
    buffers = dict(learner.named_buffers())
    for _ in range(2):
        expected, state, count = by_hand(learner, EPISODES, state, count)
        learner.zero_grad()
        step = learner.training_step(EPISODES)
        step.loss.backward()
        own = {f"backbone.{name}": name for name in expected} | {
            next(name for name, _ in learner.named_parameters() if f"{part}." in name): f"head.{to}"
            for part, to in (("heads.weights", "weight"), ("heads.biases", "bias"))
        }
        with torch.no_grad():
            for name, value in learner.named_parameters():
                torch.testing.assert_close(value.grad, expected[own[name]], rtol=1e-7, atol=1e-11)
                value -= value.grad
            for name, value in step.buffers.items():
                buffers[name].copy_(value)
    assert int(learner.carried.steps) == count == 32


def test_adaptation_starts_from_the_carried_state_and_leaves_it():
    learner = published()
    first = learner.adapt(EPISODES[0].support, EPISODES[0].task, steps=2)
    for name, value in learner.training_step(EPISODES).buffers.items():
        dict(learner.named_buffers())[name].copy_(value)
    before = {name: value.clone() for name, value in learner.named_buffers()}
    second = learner.adapt(EPISODES[0].support, EPISODES[0].task, steps=2)
    again = learner.adapt(EPISODES[0].support, EPISODES[0].task, steps=2)
    assert not torch.equal(
        first.tensors["head"]["head.weight"], second.tensors["head"]["head.weight"]
    )
    assert torch.equal(again.tensors["head"]["head.weight"], second.tensors["head"]["head.weight"])
    assert all(torch.equal(before[name], value) for name, value in learner.named_buffers())


def sampler():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(60, 1, 6, 6, generator=generator)
    source = TensorSource(images, torch.arange(60) % 5, Task("t", MultiClass(list("abcde"))))
    return EpisodeSampler(source, ways=3, shots=4, queries=2, seed=3)


def options(steps, **more):
    return FitOptions(steps=steps, lr=0.5, optimiser="sgd", meta_batch=2, **more)


@pytest.mark.slow
def test_a_resumed_training_goes_on_with_the_carried_state(tmp_path):
    whole, parts = (published(Net()).float() for _ in range(2))
    fit(whole, sampler(), options(3), progress=False)
    fit(parts, sampler(), options(1), folder=tmp_path, progress=False)
    parts = published(Net()).float()
    fit(parts, sampler(), options(3), folder=tmp_path, progress=False)
    assert int(parts.carried.steps) == 3 * 2 * 8
    expected = whole.state_dict()
    assert expected.keys() == parts.state_dict().keys()
    assert all(torch.equal(expected[name], value) for name, value in parts.state_dict().items())


class TwoRanks:
    ranks, rank = 2, 0


def test_steps_cannot_be_shared():
    learner = published()
    with pytest.raises(InputError, match="1 ranks and at_once=1 cannot share it"):
        fit(learner, sampler(), options(1, at_once=1))
    with pytest.raises(InputError, match="2 ranks and at_once=None cannot share it"):
        fit(learner, sampler(), options(1), machine=TwoRanks())


def test_a_head_made_anew_has_no_state_to_carry():
    with pytest.raises(InputError, match=r"carry=True\) carries the state of the head's"):
        Reptile(Net(), carry=True)
    with pytest.raises(InputError, match=r"got decays=.* it is for optimiser='adam'"):
        Reptile(Net(), optimiser="sgd", decays=(0.0, 0.9))
    task = Task("t", TARGET)
    with pytest.raises(InputError, match="number of features of Net is not known"):
        Reptile.as_published(Net())
    carried = Reptile(Net(), head=LearnedHeads([task], 4), carry=True)
    assert carried.protocol()["inner optimiser"] == "carried over"
    assert "inner optimiser" not in Reptile(Net()).protocol()

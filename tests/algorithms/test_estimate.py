"""Predicted peaks against measured ones."""

import dataclasses

import pytest
import torch

import torchcross as tx
from tests.algorithms.cases import TARGETS, Net, episode_of, make_algorithm
from torchcross.algorithms import MAML, FineTune, MultiTask
from torchcross.errors import InputError
from torchcross.functional import MemoryEstimate, meta_gradient, peak_memory
from torchcross.task import Task

EPISODES = [episode_of(TARGETS["multiclass"], 0), episode_of(TARGETS["binary"], 1, support=12)]


@pytest.mark.parametrize(
    "name", ["maml", "maml-low-memory", "maml-first-order", "anil", "meta-sgd", "imaml"]
)
def test_the_estimate_is_the_peak_of_the_largest_episode(name):
    learner = make_algorithm(name, "multiclass")
    found = tx.estimate(learner, EPISODES, steps=6)
    problems, meta, engine = learner.problems(EPISODES)
    assert (found.steps, found.engine, found.order) == (6, engine.name, engine.order)
    longer = make_algorithm(name, "multiclass")
    object.__setattr__(longer.recipe, "steps", 6)
    problems, meta, engine = longer.problems(EPISODES)
    measured = max(
        peak_memory(lambda at=at: meta_gradient(at, meta, engine=engine))[1] for at in problems
    )
    assert found.peak == pytest.approx(measured, rel=0.1)
    own = tx.estimate(learner, EPISODES)
    assert own.steps == learner.recipe.steps
    assert own.peak <= found.peak


@pytest.mark.slow
def test_another_engine_may_be_asked_about():
    learner = MAML(Net(), steps=10)
    lean, fast = (
        tx.estimate(learner, EPISODES, engine=engine) for engine in ("recompute", "reverse")
    )
    assert (lean.engine, fast.engine) == ("recompute", "reverse")
    size = sum(value.numel() * value.element_size() for value in learner.parameters())
    assert lean.per_step < 2 * size < fast.per_step
    assert lean.peak < fast.peak


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "per_step"])
def test_rates_of_each_step_are_enough_for_any_number_of_steps(norm):
    learner = MAML(Net(), steps=1, rates="per_layer_step", norm=norm)
    one, ten = (tx.estimate(learner, EPISODES, steps=steps) for steps in (1, 10))
    assert (one.steps, ten.steps) == (1, 10)
    assert ten.peak > one.peak + 7 * ten.per_step > one.peak


ROWS = {"norm": "per_step", "norm_weights": "per_step"}


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        (lambda steps: MAML(Net(), steps=steps, **ROWS), (1, 1)),
        (lambda steps: MAML(Net(dropout=0.3), steps=steps), (2, 2)),
        (lambda steps: FineTune(Net(), steps=steps, schedule="cosine"), (2, 2)),
        (lambda steps: FineTune(Net(), steps=steps, batch=4), (2, 2)),
        (lambda steps: FineTune(Net(), steps=steps, warmup=3), (5, 1)),
        (lambda steps: MAML(Net(), steps=steps, memory="low", **ROWS), (5, 10)),
        (lambda steps: MAML(Net(dropout=0.3), steps=steps, memory="low"), (5, 10)),
        (lambda steps: MAML(Net(dropout=0.3), steps=steps, engine="implicit"), (2, 7)),
    ],
)
def test_data_with_a_row_for_each_step_are_enough_for_any_number_of_steps(make, steps):
    own, asked = steps
    estimate = tx.estimate(make(own), EPISODES[:1], steps=asked)
    assert estimate.steps == asked
    if asked < own:
        return
    problems, meta, engine = make(asked).problems(EPISODES[:1])
    counted = peak_memory(lambda: meta_gradient(problems[0], meta, engine=engine))[1]
    assert estimate.peak == pytest.approx(counted, rel=0.15)


def test_another_engine_may_read_one_row_more():
    learner = MAML(Net(dropout=0.3), steps=4)
    assert tx.estimate(learner, EPISODES[:1], engine="implicit").engine == "implicit"


@pytest.mark.parametrize("name", ["reptile", "protonet", "ridge"])
def test_without_a_meta_gradient_a_training_step_is_measured(name):
    learner = make_algorithm(name, "multiclass")
    found = tx.estimate(learner, EPISODES)
    assert (found.per_step, found.engine) == (0, "reptile" if name == "reptile" else "reverse")
    assert found.peak > 0
    assert all(value.grad is None for value in learner.parameters())
    with pytest.raises(InputError, match="leave them out"):
        tx.estimate(learner, EPISODES, steps=3)


def test_what_is_no_algorithm_over_episodes():
    with pytest.raises(InputError, match="got MultiTask; give an algorithm over episodes"):
        tx.estimate(MultiTask(Net(), [Task("x", TARGETS["binary"])], features=4).double(), EPISODES)
    assert torch.is_grad_enabled()


def test_an_estimate_prints_in_megabytes() -> None:
    lean = MemoryEstimate(1_234_500_000, 5_400_000, 20, "recompute", 2, 2_000_000_000)
    text = (
        "recompute, 20 inner steps: 1,234.5 MB of tensors at the peak, 5.4 MB for each further step"
    )
    assert str(lean) == f"{text}; the process will hold about 2,000 MB"
    assert str(dataclasses.replace(lean, process=None)) == text
    assert "1 inner step:" in str(dataclasses.replace(lean, steps=1))

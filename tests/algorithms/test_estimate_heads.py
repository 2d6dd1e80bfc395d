"""The estimate is what is counted, whatever the head, the engine and the number of steps."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from torch import nn

import torchcross as tx
from benchmarks.memory_estimate import TASK, counted_peak, learner
from tests.algorithms.cases import episode_of
from torchcross.algorithms import MAML
from torchcross.functional import ENGINES

TOLERANCE = 0.15
EPISODE = dataclasses.replace(episode_of(TASK.target, 0, support=10), task=TASK)
HEADS = ("zero", "proto", "learned", "head alone")


def wide() -> nn.Module:
    """Parameters, not activations, take the memory: what a step keeps differs most there."""
    layers = [nn.Flatten(), nn.Linear(36, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(40, 4)).double()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("head", HEADS)
def test_estimate_of_every_head_and_engine(head: str, engine: str) -> None:
    subject = learner(head, wide(), 4, engine, 2)
    for steps in (2, 11):
        counted = counted_peak(subject, EPISODE, steps)
        estimate = tx.estimate(subject, [EPISODE], steps=steps)
        assert estimate.peak == pytest.approx(counted, rel=TOLERANCE), (steps, estimate, counted)


def test_first_order_does_not_grow_with_the_steps() -> None:
    few, many = (
        tx.estimate(learner("zero", wide(), 4, "first_order", 2), [EPISODE], steps=steps)
        for steps in (3, 40)
    )
    assert few.per_step < 100
    assert many.peak < 1.1 * few.peak


@pytest.mark.parametrize("engine", ["reverse", "mixed"])
def test_a_query_loss_at_each_step_is_part_of_the_estimate(engine: str) -> None:
    subject = MAML(wide(), steps=9, multi_step=10, engine=engine)
    problems, _, _ = subject.problems([EPISODE], epoch=0)
    assert problems[0].inner.query_weights is not None
    estimate = tx.estimate(subject, [EPISODE], epoch=0)
    counted = counted_peak(subject, EPISODE, 9, epoch=0)
    assert estimate.peak == pytest.approx(counted, rel=TOLERANCE)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say what a process holds")
def test_a_fresh_process_holds_what_the_estimate_says() -> None:
    cell = ["small conv4", "zero", "reverse", "2"]
    command = [sys.executable, "-m", "benchmarks.memory_estimate", "--cell", *cell]
    texts = [
        subprocess.run([*command, what], check=True, capture_output=True, text=True).stdout
        for what in ("estimate", "resident")
    ]
    estimate, resident = (json.loads(text) for text in texts)
    assert estimate["process"] == pytest.approx(resident["resident"], rel=0.3)
    assert estimate["peak"] == pytest.approx(resident["counted"], rel=TOLERANCE)

"""How well conjugate gradients solved each episode's meta-gradient is told by the training step."""

import pytest
import torch

from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross.algorithms import IMAML, MAML, ProtoNet
from torchcross.functional import meta_gradient

EPISODES = [episode_of(TARGETS["multiclass"], seed) for seed in range(3)]


@pytest.mark.parametrize("lanes", ["loop", 3])
def test_residuals_are_those_of_the_episodes(lanes):
    imaml = IMAML(Net(), steps=3, lr=0.05, iterations=2, lanes=lanes)
    step = imaml.training_step(EPISODES)
    problems, meta, engine = imaml.problems(EPISODES)
    alone = torch.stack(
        [meta_gradient(problem, meta, engine=engine).residual for problem in problems]
    )
    torch.testing.assert_close(step.residuals, alone, rtol=1e-6, atol=0)
    assert not step.residuals.requires_grad
    more = IMAML(Net(), steps=3, lr=0.05, iterations=20, lanes=lanes).training_step(EPISODES)
    assert (more.residuals < step.residuals).all()


@pytest.mark.parametrize("make", [MAML, ProtoNet])
def test_engines_that_solve_nothing_have_none(make):
    assert make(Net()).training_step(EPISODES).residuals is None
    with torch.no_grad():
        assert IMAML(Net(), steps=1).training_step(EPISODES).residuals is None

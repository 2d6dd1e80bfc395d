"""The problems of an algorithm can be given to what takes problems: an estimate, a certificate."""

import pytest
import torch

from tests.algorithms.cases import (
    ALGORITHMS,
    ENSEMBLES,
    TARGETS,
    Net,
    episode_of,
    make_algorithm,
    step_of,
)
from torchcross.algorithms import MAML
from torchcross.functional import certify_problem, estimate


def test_memory_is_estimated_from_an_algorithms_problem():
    learner = MAML(Net(), steps=4)
    (problem,), meta, engine = learner.problems([episode_of(TARGETS["binary"])])
    assert (
        estimate(problem, meta, engine=engine).peak
        > estimate(problem, meta, engine="recompute").peak
    )


@pytest.mark.parametrize(
    "algorithm", ["maml", "anil", "meta-sgd", "maml-running", "maml++", "protonet", "ridge"]
)
def test_finite_differences_certify_it(algorithm):
    """Also from float32: certification widens an algorithm's problems itself."""
    learner, episode = (
        make_algorithm(algorithm, "ordinal-coral").float(),
        episode_of(TARGETS["ordinal-coral"]),
    )
    (problem,), meta, engine = learner.problems([episode], epoch=9)
    rows = certify_problem(problem, meta, engine=engine, directions=1)
    assert [row.holds for row in rows] == [True] * len(rows), rows
    assert len(rows) == 2 if algorithm in ("meta-sgd", "maml++") else 1


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name not in ENSEMBLES])
def test_the_loss_without_gradients_is_the_one_that_is_trained(algorithm):
    learner, episode = make_algorithm(algorithm, "multiclass"), episode_of(TARGETS["multiclass"])
    with torch.no_grad():
        loss = step_of(learner, [episode]).loss
    torch.testing.assert_close(loss, step_of(learner, [episode]).loss.detach())

"""Rows that adapt in their own way: with all that they learned, under the policy and for the steps
asked for.
"""

import pytest
import torch

from tests.experiment.conftest import toy_experiment
from torchcross.backbones import conv4
from torchcross.experiment import METHODS, run_experiment
from torchcross.experiment.rows.adaptation import adapter, inner_steps, reads_running_statistics
from torchcross.experiment.run import scoring

pytestmark = pytest.mark.slow

OWN = {"evaluation.adaptation": "own"}
EPISODIC = [name for name, method in METHODS.items() if method.has_own_way]


def learner(name, row):
    """As a training might leave it."""
    made = METHODS[name].make_learner(conv4(4, in_channels=1), row.meta, None)
    with torch.no_grad():
        for number, value in enumerate(made.parameters()):
            value.add_(0.01 * (number + 1))
    return made


@pytest.mark.parametrize("name", EPISODIC)
def test_as_it_was_trained_unless_a_policy_is_chosen(name):
    row = toy_experiment(algorithms=[name], **OWN)
    trained = learner(name, row)
    assert adapter(METHODS[name], trained, row) is trained


@pytest.mark.parametrize("name", EPISODIC)
@pytest.mark.parametrize("norm", ["running", "frozen", "support", "batch"])
def test_another_policy_takes_nothing_else_from_it(name, norm):
    row = toy_experiment(algorithms=[name], **OWN, **{"evaluation.norm": norm})
    trained = learner(name, row)
    how = adapter(METHODS[name], trained, row)
    steps = inner_steps(METHODS[name], how, row) is not None
    # Without inner steps no support forward moves the running statistics.
    assert how.protocol()["norm"] == ("frozen" if norm == "running" and not steps else norm)
    assert how.backbone is trained.backbone
    assert type(how) is type(trained)
    # Features that a policy moves at each step cannot be kept from the first.
    told_of, before = ({**one.protocol(), "norm": "", "features": ""} for one in (how, trained))
    assert told_of == before
    learned = trained.state_dict()
    assert how.state_dict().keys() == learned.keys()
    assert all(torch.equal(value, learned[key]) for key, value in how.state_dict().items())
    assert reads_running_statistics(how) == (norm in ("running", "frozen"))


@pytest.mark.usefixtures("collection")
@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("mm-maml", OWN, 1),
        ("mm-maml", {**OWN, "meta.validation_inner_steps": 3}, 3),
        ("mm-maml", {**OWN, "evaluation.inner_steps": 5}, 5),
        ("mm-maml", {"evaluation.inner_steps": 5}, None),
        ("protonet", {**OWN, "evaluation.inner_steps": 5}, None),
        ("scratch", {**OWN, "evaluation.inner_steps": 5}, None),
    ],
)
def test_inner_steps_reach_the_evaluation(tmp_path, monkeypatch, name, changes, expected):
    asked, plain = [], scoring.evaluate

    def evaluate(*given, **more):
        asked.append(more["steps"])
        return plain(*given, **more)

    monkeypatch.setattr(scoring, "evaluate", evaluate)
    row = toy_experiment(algorithms=[name], shots=[1], **{"data.targets": ["hole"], **changes})
    assert run_experiment(row, tmp_path).complete
    assert asked == [expected]

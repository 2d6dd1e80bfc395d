"""Running statistics after meta-training, which does not move them: whoever reads them gets those
of the sources.
"""

import numpy as np
import pytest
import torch

from tests.experiment.conftest import toy_experiment
from tests.experiment.rows import saved
from torchcross.algorithms import MAML
from torchcross.backbones import conv4
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.evaluation import evaluate
from torchcross.experiment import METHODS, run_experiment
from torchcross.experiment.rows import adaptation
from torchcross.experiment.rows.disputed_choices import choices
from torchcross.experiment.run import training, workbench
from torchcross.training import FitOptions, fit, renew_statistics

pytestmark = pytest.mark.slow

EPISODIC = [name for name, method in METHODS.items() if method.make_learner is not None]


@pytest.fixture
def met(monkeypatch):
    """The networks that rows met their targets with: by row, all values of means and of
    variances.
    """
    found = {}
    plain = workbench.adapter

    def adapter(method, trained, told, *texts):
        how = plain(method, trained, told, *texts)
        buffers = dict(how.backbone.named_buffers())
        found[method.name] = [
            torch.cat(
                [value.flatten() for name, value in buffers.items() if name.endswith(end)]
            ).clone()
            for end in ("running_mean", "running_var")
        ]
        return how

    monkeypatch.setattr(workbench, "adapter", adapter)
    return found


def run(folder, algorithms, **changes):
    outcome = run_experiment(
        toy_experiment(algorithms=algorithms, shots=[1], **{"data.targets": ["hole"], **changes}),
        folder,
    )
    assert outcome.complete, outcome.failures
    return outcome.records


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_no_meta_trained_row_meets_a_target_with_statistics_of_nothing(met, tmp_path):
    # One of them starts from weights; those that are trained have statistics of nothing too.
    weights = saved(conv4(4, in_channels=1, seed=3), tmp_path)
    changes = {"model.weights": weights, "model.normalisation": "none"}
    run(tmp_path / "run", ["scratch", *EPISODIC], **changes)
    means, variances = met["scratch"]
    assert (means == 0).all()
    assert (variances == 1).all()
    for name in EPISODIC:
        means, variances = met[name]
        assert not (means == 0).any(), name
        assert not (variances == 1).any(), name


@pytest.mark.usefixtures("collection")
@pytest.mark.parametrize(
    ("norm", "adaptation", "is_renewed"),
    [
        ("frozen", "fine-tune", True),
        ("running", "own", True),
        ("frozen", "own", True),
        ("", "own", False),
        ("support", "fine-tune", False),
        ("support", "own", False),
        ("batch", "fine-tune", False),
    ],
)
def test_they_are_renewed_for_those_who_read_them(met, tmp_path, norm, adaptation, is_renewed):
    run(
        tmp_path,
        ["mm-maml", "protonet"],
        **{"evaluation.norm": norm, "evaluation.adaptation": adaptation},
    )
    for name in ("mm-maml", "protonet"):
        assert (met[name][0] != 0).all() == is_renewed


@pytest.mark.usefixtures("collection")
def test_rows_are_the_same_when_the_training_is_only_loaded(met, tmp_path):
    whole = run(tmp_path, ["mm-maml"])
    before = met.pop("mm-maml")
    for path in (tmp_path / "rows").iterdir():
        path.unlink()
    assert run(tmp_path, ["mm-maml"]) == whole
    assert all(torch.equal(now, was) for now, was in zip(met["mm-maml"], before, strict=True))


@pytest.mark.usefixtures("collection")
def test_the_episodes_are_the_first_of_training(tmp_path, monkeypatch):
    asked = []

    def noted(algorithm, episodes):
        asked.append(
            [(one.plan.source, one.plan.index, tuple(one.plan.support)) for one in episodes]
        )

    monkeypatch.setattr(adaptation, "renew_statistics", noted)
    data = []

    def fitted(learner, sampler, options, **more):
        data.append(sampler)
        return fit(learner, sampler, options, **more)

    monkeypatch.setattr(training, "fit", fitted)
    run(tmp_path, ["protonet"])
    ((*_, last),) = asked
    assert len(asked[0]) == 40
    assert last[1] == 39
    assert asked[0] == [
        (plan.source, plan.index, tuple(plan.support)) for plan in data[0].batch(range(40))
    ]


@pytest.mark.long
def test_few_steps_of_fine_tuning_go_further_from_them():
    """What it is for: a network under statistics of nothing must first learn the scale of its own
    features.
    """
    sources = [make(300, size=16) for make in (toys.multiclass, toys.binary, toys.ordinal)]
    sampler = EpisodeSampler(sources, ways=(2, None), shots=(1, 5), queries=5, seed=0)
    episodes = Episodes(
        EpisodeSampler(toys.multiclass(300, size=16, domain="ink", seed=5), shots=5, queries=10)
    )
    trained = MAML(conv4(16, in_channels=1), steps=2, lr=0.1)
    fit(trained, sampler, FitOptions(steps=60, meta_batch=1, lr=3e-3))
    row = toy_experiment(**{"evaluation.steps": 20, "evaluation.lr": 1e-3})

    def scores():
        how = adaptation.adapter(METHODS["mm-maml"], trained, row)
        found = evaluate(
            how, (episodes[n] for n in range(8)), run="x", algorithm="mm-maml", metrics=("auroc",)
        )
        return np.array([record.value for record in found])

    without = scores()
    read = Episodes(sampler)
    renew_statistics(trained, (read[n] for n in range(40)))
    gain = scores() - without
    assert gain.mean() > 2 * gain.std(ddof=1) / len(gain) ** 0.5
    assert gain.mean() > 0.05


def test_it_is_told_where_they_come_from():
    words = "running statistics that adaptation begins with"
    text = choices(toy_experiment(algorithms=["scratch", "mm-pt", "mm-maml", "protonet"]))[words]
    assert "mm-maml, protonet: renewed on 40 episodes of the sources after training" in text
    assert "scratch: those of a new network" in text
    assert "mm-pt: as training on the sources left them" in text
    assert words not in choices(
        toy_experiment(algorithms=["protonet"], **{"evaluation.norm": "support"})
    )

"""What is refused before a run begins, and what it says of settings that do nothing."""

import sys
from types import SimpleNamespace

import pytest
import torch

from tests.experiment.conftest import toy_experiment
from torchcross import backbones
from torchcross.data import toys
from torchcross.errors import InputError, MissingExtraError
from torchcross.experiment import METHODS, experiment_from_values
from torchcross.experiment.device import machine_of
from torchcross.experiment.rows.row_reads import reads_setting
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.run.checks import (
    check_experiment,
    check_metric,
    settings_without_effect,
)
from torchcross.experiment.settings.schema import MachineSettings


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "conv.pth"
    torch.save(backbones.conv4(4, in_channels=1).state_dict(), path)
    return str(path)


def test_what_can_run(weights):
    check_experiment(toy_experiment())
    check_experiment(
        toy_experiment(
            **{
                "model.weights": weights,
                "model.normalisation": "none",
                "algorithms": ["scratch", "im-pt"],
            }
        )
    )


def test_augmentation_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "kornia", None)
    check_experiment(toy_experiment(**{"pretraining.augment": True, "algorithms": ["scratch"]}))
    for section, row in (("pretraining", "mm-pt"), ("meta", "mm-maml"), ("fine_tuning", "scratch")):
        name = f"{section}.augment"
        experiment = toy_experiment(**{name: True, "algorithms": [row]})
        match = rf"{name}=true, which the row '{row}' reads, .*\[augment\]', or set {name}=false"
        with pytest.raises(MissingExtraError, match=match):
            check_experiment(experiment)
        check_experiment(experiment, computes=False)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"evaluation.metric": "auc"},
            r"evaluation\.metric='auc': .* There are 'accuracy', 'auroc'",
        ),
        ({"algorithms": ["mm-mal"]}, "no algorithm of a table is called 'mm-mal'"),
        ({"algorithms": ["medians"]}, r"one of your own needs its file: --plugin FILE\.py"),
        ({"model.backbone": "connv"}, r"mean 'conv4'\? .* of your own .* --plugin FILE\.py"),
        ({"algorithms": ["im-pt"]}, "starts from published weights"),
        ({"model.backbone": "resnet19"}, r"model\.backbone='resnet19'.*: no backbone is called"),
        ({"model.backbone.width": 3}, r"model\.backbone=.*'width'.* that it does not take"),
        (
            {"model.backbone.channels": "many"},
            r"model\.backbone=\{'name': 'conv4', 'channels': 'many'\}",
        ),
        ({"model.backbone.in_channels": 3}, r"in_channels=3 and data\.channels=1"),
        ({"model.backbone.channels": -1}, r"model\.backbone=\{'name': 'conv4', 'channels': -1\}"),
        ({"model.weights": "none.pth", "algorithms": ["im-pt"]}, r"model\.weights='none\.pth'"),
        ({"machine.device": "cuda:77"}, r"machine\.device='cuda:77' is not here; there are cpu"),
        ({"machine.device": "gpu"}, r"machine\.device='gpu' is not a device"),
    ],
)
def test_refused(changes, match):
    with pytest.raises(InputError, match=match):
        check_experiment(toy_experiment(**changes))


def test_weights_that_do_not_fit_are_refused(weights, tmp_path):
    known = {"model.normalisation": "none", "algorithms": ["im-pt"]}
    with pytest.raises(InputError, match=r"data\.channels=3"):
        check_experiment(toy_experiment(**known, **{"model.weights": weights, "data.channels": 3}))
    with pytest.raises(InputError, match="what images the weights"):
        check_experiment(toy_experiment(**{"algorithms": ["im-pt"], "model.weights": weights}))
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"PK not really")
    with pytest.raises(InputError, match=r"damaged\.pth"):
        check_experiment(toy_experiment(**known, **{"model.weights": str(damaged)}))


def test_a_metric_that_no_target_has_is_refused():
    ordered, plain = toys.ordinal().task.target, toys.binary().task.target
    check_metric("qwk", {"a": ordered, "b": plain})
    with pytest.raises(InputError, match="'qwk'; there are 'accuracy', 'auroc'"):
        check_metric("qwk", {"b": plain})


# -- the machine -----------------------------------------------------------------------------------


def test_the_machine_that_is_told():
    machine = machine_of(MachineSettings(device="cpu", precision="bf16-mixed"))
    assert (machine.device.type, machine.precision) == ("cpu", "bf16-mixed")


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert machine_of(MachineSettings()).device.type == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr(
        "torch.zeros",
        lambda *_, device: SimpleNamespace(sum=lambda: SimpleNamespace(item=lambda: 0)),
    )
    assert machine_of(MachineSettings()).device.type == "cuda"
    with pytest.raises(InputError, match=r"'cuda:1' is not here; there are cpu, cuda:0"):
        machine_of(MachineSettings(device="cuda:1"))
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: False)
    with pytest.raises(InputError, match=r"machine\.precision='bf16-mixed'"):
        machine_of(MachineSettings(precision="bf16-mixed"))


@pytest.mark.parametrize("name", ["meta"] if torch.backends.mps.is_available() else ["meta", "mps"])
def test_a_device_that_cannot_be_used_is_told_in_one_line(name):
    with pytest.raises(InputError, match="cannot be used here") as refused:
        machine_of(MachineSettings(device=name))
    assert len(str(refused.value)) < 400


# -- settings without effect -----------------------------------------------------------------------


def lines(preset="medimeta-table4", **changes):
    return settings_without_effect(
        experiment_from_values({"preset": preset, "data": {"folder": "there"}}, changes)
    )


def test_nothing_is_said_where_all_is_read():
    assert lines(algorithms=["scratch", "mm-pt", "mm-maml"]) == []
    assert lines(algorithms=["mm-pt"], **{"pretraining.batch_size": 8, "evaluation.lr": 0.5}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"algorithms": ["mm-maml", "protonet"]},
            ["meta.inner_lr, meta.inner_steps, meta.validation_inner_steps: no effect on protonet"],
        ),
        ({"algorithms": ["mm-maml", "reptile"]}, ["meta.inner_lr: no effect on reptile"]),
        ({"algorithms": ["ridge"]}, []),
        ({"algorithms": ["ridge"], "meta.inner_lr": 0.5}, ["meta.inner_lr: no effect on any row"]),
        ({"algorithms": ["scratch"], "meta.queries": 3}, ["meta.queries: no effect on any row"]),
        (
            {"algorithms": ["scratch"], "pretraining.clip": 3},
            ["pretraining.clip: no effect on any row"],
        ),
        (
            {"algorithms": ["scratch"], "data.leave_out": "domain"},
            ["data.leave_out: no effect on any row"],
        ),
        (
            {"algorithms": ["scratch", "probe"]},
            ["evaluation.steps, evaluation.lr, evaluation.norm: no effect on probe"],
        ),
        (
            {"algorithms": ["scratch", "mm-maml"], "evaluation.adaptation": "own"},
            ["evaluation.steps, evaluation.lr: no effect on mm-maml"],
        ),
        (
            {"algorithms": ["mm-maml"], "evaluation.adaptation": "own", "evaluation.steps": 3},
            ["evaluation.steps: no effect on any row"],
        ),
        (
            {"algorithms": ["mm-maml"], "evaluation.inner_steps": 3},
            ["evaluation.inner_steps: no effect on any row"],
        ),
        (
            {"algorithms": ["scratch"], "evaluation.adaptation": "own"},
            ["evaluation.adaptation: no effect on any row"],
        ),
        (
            {"algorithms": ["scratch", "mm-pt"], "model.weights": "w"},
            ["model.weights: no effect on scratch"],
        ),
        (
            {"algorithms": ["scratch", "mm-pt"], "machine.precision": "bf16-mixed"},
            ["machine.precision: no effect on scratch"],
        ),
    ],
)
def test_what_rows_do_not_read(changes, expected):
    assert lines(**changes) == expected


def test_a_test_split_has_no_episodes():
    assert lines("fully-supervised") == [
        "evaluation, but for metric, predictions, subgroups and specificity: no effect on"
        " supervised, which is scored on the test split"
    ]
    said = lines(
        "fully-supervised",
        **{"pretraining.scale_losses": False, "meta.steps": 3, "evaluation.steps": 9},
    )
    assert said[1:] == ["pretraining.scale_losses, meta.steps: no effect on any row"]


def test_the_rows_are_as_they_are_said_to_be():
    """Which rows read steps and rates is written beside them: hold it against the algorithms."""
    how = toy_experiment(**{"meta.inner_lr": 0.123, "meta.inner_steps": 3})
    for name, method in METHODS.items():
        if method.make_learner is None:
            continue
        learner = method.make_learner(starting_network(method, how, 0), how.meta, None)
        recipe = getattr(learner, "recipe", None)
        for setting in ("meta.inner_steps", "meta.validation_inner_steps"):
            assert (recipe is not None) == reads_setting(method, setting, how), name
        reads_rate = recipe is not None and recipe.lr == 0.123
        assert reads_rate == reads_setting(method, "meta.inner_lr", how), name


def test_one_kind_of_interval_over_several_seeds():
    told = experiment_from_values(
        {"data": {"folder": "x"}, "evaluation": {"interval": "bca"}, "seeds": [0, 1]}
    )
    assert any(
        "evaluation.interval" in text and "no effect on any row" in text
        for text in settings_without_effect(told)
    )
    one = experiment_from_values({"data": {"folder": "x"}, "evaluation": {"interval": "bca"}})
    assert not any("evaluation.interval" in text for text in settings_without_effect(one))

"""Trackers of an experiment: which settings there are, and that they change nothing of a run."""

import json
import sys
import types
from contextlib import nullcontext

import pytest

from tests.experiment.conftest import toy_experiment
from tests.experiment.small import files
from torchcross.errors import InputError, MissingExtraError, TrackerWarning
from torchcross.experiment import RunFolder, experiment_from_values, run_experiment, verify_run
from torchcross.experiment.rows.trackers import check_trackers, trackers_of
from torchcross.experiment.run.checks import settings_without_effect
from torchcross.experiment.run.identity import decisive_settings, identity
from torchcross.experiment.settings.plain import as_plain

DATA = {"data": {"folder": "there"}}


class FakeWriter:
    """TensorBoard's writer; `fails` is the step that it cannot write."""

    made = []
    fails = None

    def __init__(self, folder, purge_step):
        self.folder, self.purge_step = folder, purge_step
        self.scalars, self.texts, self.closed = [], [], False
        self.made.append(self)

    def add_scalar(self, name, value, step):
        if step == self.fails:
            raise OSError("no room")
        self.scalars.append((name, value, step))

    def add_text(self, name, text, step):
        self.texts.append((name, text, step))

    def close(self):
        self.closed = True


@pytest.fixture
def board(monkeypatch):
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(FakeWriter, "made", [])
    return FakeWriter


def tracked(**changes):
    return toy_experiment(**{"trackers.tensorboard": True}, **changes)


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (
            {"tensorbord": True},
            r"no setting is called 'trackers\.tensorbord'; did you mean 'trackers\.tensorboard'",
        ),
        ({"tensorboard": "yes"}, r"trackers\.tensorboard is 'yes'; give true or false"),
        ({"mlflow": "http://host"}, r"trackers\.mlflow is 'http://host'; give a section"),
        ({"mlflow": {"url": "http://host"}}, r"did you mean 'trackers\.mlflow\.uri'"),
        ({"mlflow": {"experiment": ""}}, r"trackers\.mlflow\.experiment is empty"),
        ({"wandb": {}}, r"trackers\.wandb\.project is missing; give it"),
        ({"wandb": {"client": "trackio"}}, r"trackers\.wandb\.project is missing; give it"),
        ({"wandb": {"project": ""}}, r"trackers\.wandb\.project is empty; give a name"),
        (
            {"wandb": {"project": "p", "client": "wandbb"}},
            r"trackers\.wandb\.client is 'wandbb'; give one of 'wandb', 'trackio'",
        ),
    ],
)
def test_settings_that_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        experiment_from_values({**DATA, "trackers": given})


def test_trackers_are_off_and_a_table_turns_one_on(tmp_path):
    off = experiment_from_values(DATA)
    assert trackers_of(off, "training", tmp_path) == []
    on = experiment_from_values(DATA, {"trackers.wandb.project": "few-shot"}).trackers
    assert (on.wandb.project, on.wandb.client, on.mlflow) == ("few-shot", "wandb", None)
    assert experiment_from_values({**DATA, "trackers": {"mlflow": {}}}).trackers.mlflow.uri == ""


def test_trackers_decide_nothing_and_are_plain_values():
    trackers = {"tensorboard": True, "wandb": {"project": "p", "options": {"entity": "we"}}}
    plain, on = (experiment_from_values({**DATA, **more}) for more in ({}, {"trackers": trackers}))
    assert identity(plain) == identity(on)
    assert "trackers" not in decisive_settings(on)
    again = json.loads(json.dumps(as_plain(on)))
    assert experiment_from_values(again) == on


def test_trackers_of_a_run_that_trains_nothing_have_no_effect():
    note = "trackers: no effect, for no row is trained"
    assert note in settings_without_effect(tracked(algorithms=["scratch", "ncm"]))
    for experiment in (tracked(), toy_experiment(algorithms=["scratch"])):
        assert not any("trackers" in text for text in settings_without_effect(experiment))


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({"trackers.tensorboard": True}, "tensorboard"),
        ({"trackers.mlflow.uri": "http://host"}, "mlflow"),
        ({"trackers.wandb.project": "p"}, "wandb"),
        ({"trackers.wandb.project": "p", "trackers.wandb.client": "trackio"}, "trackio"),
    ],
)
def test_a_library_that_is_missing_is_said_before_anything_runs(
    changes, extra, monkeypatch, tmp_path
):
    module = "torch.utils.tensorboard" if extra == "tensorboard" else extra
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"pip install 'torchcross-fewshot\[{extra}\]'"
    with pytest.raises(MissingExtraError, match=message):
        check_trackers(toy_experiment(**changes))
    with pytest.raises(MissingExtraError, match=message):
        run_experiment(toy_experiment(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.usefixtures("collection")
@pytest.mark.parametrize("fails", [None, 2])
def test_a_run_with_trackers_leaves_the_same_bytes(board, monkeypatch, tmp_path, fails):
    algorithms = ["scratch", "mm-pt", "protonet"]
    run_experiment(toy_experiment(algorithms=algorithms), tmp_path / "plain" / "run")
    monkeypatch.setattr(board, "fails", fails)
    # Where `fails` is None, a warning would be an error.
    with pytest.warns(TrackerWarning) if fails else nullcontext():
        outcome = run_experiment(tracked(algorithms=algorithms), tmp_path / "tracked" / "run")
    assert outcome.complete
    plain, with_trackers = (files(tmp_path / way / "run") for way in ("plain", "tracked"))
    assert plain.keys() == with_trackers.keys()
    different = {name for name in plain if plain[name] != with_trackers[name]}
    # The settings, and when it ran.
    assert different <= {"experiment.json", "protocol.json", "provenance.json"}
    assert RunFolder(tmp_path / "tracked" / "run").experiment["trackers"]["tensorboard"]
    trainings = {path.name for path in (tmp_path / "tracked" / "run" / "train").iterdir()}
    names = {writer.folder.rpartition("/trackers/tensorboard/")[2] for writer in board.made}
    assert names == trainings
    if fails is None:
        assert all(writer.closed and len(writer.scalars) >= 9 for writer in board.made)
        assert all("| state | finished |" in writer.texts[0][1] for writer in board.made)


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_what_trackers_write_is_no_file_of_the_run(board, tmp_path):
    run_experiment(tracked(), tmp_path / "run")
    written = tmp_path / "run" / "trackers" / "tensorboard" / "protonet" / "events"
    written.parent.mkdir(parents=True)
    written.write_text("of a library")
    verification = verify_run(tmp_path / "run")
    assert verification.holds
    assert not any(check.name.startswith("trackers") for check in verification.checks)
    # Nothing is left to train, so nothing is tracked.
    board.made.clear()
    run_experiment(tracked(), tmp_path / "run")
    assert board.made == []
    assert written.is_file()

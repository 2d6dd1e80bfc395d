"""Trackers of other libraries, with fakes of these; tests/packages has the libraries themselves."""

import json
import sys
from types import SimpleNamespace

import pytest

from tests.interop import tracking_fakes as fakes
from torchcross.errors import InputError, MissingExtraError
from torchcross.interop import MlflowTracker, TensorBoardTracker, WandbTracker
from torchcross.interop.trackers import mlflow as adapter
from torchcross.interop.trackers.run_ids import RunId
from torchcross.training import Tracker

NUMBERS = {"loss": 0.5, "lr": 0.1, "gradient_norm": 2.0}
DONE = {"state": "finished", "steps": 3, "stopped": "steps"}


@pytest.fixture
def store(monkeypatch):
    store = fakes.MlflowStore()
    monkeypatch.setitem(sys.modules, "mlflow", fakes.mlflow(store))
    monkeypatch.setattr(adapter, "SEND_EVERY", 0.0)
    return store


@pytest.fixture(params=["wandb", "trackio"])
def client(request, monkeypatch):
    client = fakes.WandbShaped(request.param)
    monkeypatch.setitem(sys.modules, request.param, client)
    return client


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [
        (lambda: TensorBoardTracker("here"), "torch.utils.tensorboard", "tensorboard"),
        (lambda: MlflowTracker("few-shot"), "mlflow", "mlflow"),
        (lambda: WandbTracker("few-shot"), "wandb", "wandb"),
        (lambda: WandbTracker("few-shot", client="trackio"), "trackio", "trackio"),
    ],
)
def test_a_missing_library_is_an_extra_to_install(make, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'torchcross-fewshot\[{extra}\]'"):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MlflowTracker(""), "needs the name of an experiment"),
        (lambda: WandbTracker(""), "needs the name of a project"),
        (lambda: WandbTracker("p", client="wandbb"), "client='wandbb' is not one of 'wandb', 'tra"),
    ],
)
def test_names_are_needed(make, message):
    with pytest.raises(InputError, match=message):
        make()


# -- which run -------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"run": 3}', "\udcff", "{"])
def test_a_file_that_says_nothing_is_of_no_run(tmp_path, content):
    run = RunId(tmp_path, "mlflow", "server", "name")
    if content is not None:
        RunId(tmp_path, "mlflow", "server", "name").set("old")
        (file,) = tmp_path.iterdir()
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert run.get() is None
    run.set("new")
    assert RunId(tmp_path, "mlflow", "server", "name").get() == "new"


def test_runs_of_several_trainings_share_a_folder(tmp_path):
    folder = tmp_path / "not there yet"
    places = [("mlflow", "server", "a"), ("mlflow", "server", "b"), ("wandb", "server", "a")]
    for number, place in enumerate(places):
        RunId(folder, *place).set(f"run{number}")
    assert [RunId(folder, *place).get() for place in places] == ["run0", "run1", "run2"]
    in_memory = RunId(None, "mlflow", "server", "a")
    assert in_memory.get() is None
    in_memory.set("run3")
    assert in_memory.get() == "run3"


# -- MLflow ----------------------------------------------------------------------------------------


def mlflow_tracker(folder=None, **more):
    tracker = MlflowTracker("few-shot", "protonet", folder=folder, **more)
    assert isinstance(tracker, Tracker)
    return tracker


def steps_of(run):
    return [point.step for point in run.points if point.key == "loss"]


def test_mlflow_gets_a_run_with_its_numbers_and_its_end(store, capsys):
    config = {"meta": {"lr": 0.1, "shots": [1, 5]}, "text": "x" * 900}
    tracker = mlflow_tracker(tags={"group": "g"}, config=config)
    assert store.runs == {}
    for step in (1, 2, 3):
        tracker.log(step, NUMBERS)
    tracker.finish({**DONE, "best_step": 2, "best_score": 0.75})
    (run,) = store.runs.values()
    assert store.experiments == {"few-shot": run.info.experiment_id}
    assert (run.info.run_name, run.info.status) == ("protonet", "FINISHED")
    assert run.data.params == {"meta.lr": "0.1", "meta.shots": "[1, 5]", "text": "x" * 500}
    ending = {"torchcross.state": "finished", "torchcross.stopped": "steps"}
    assert run.data.tags == {"group": "g", **ending}
    assert run.data.metrics == {**NUMBERS, "steps": 3, "best_step": 2, "best_score": 0.75}
    assert steps_of(run) == [1, 2, 3]
    assert capsys.readouterr() == ("", "View run run0\n")
    assert all(point.time > 10**12 for point in run.points)


@pytest.mark.parametrize(
    ("state", "status"), [("failed", "FAILED"), ("interrupted", "KILLED"), ("other", "FINISHED")]
)
def test_mlflow_gets_the_state(store, state, status):
    mlflow_tracker().finish({"state": state, "steps": 0, "error": "e" * 9000})
    (run,) = store.runs.values()
    assert run.info.status == status
    assert run.data.tags["torchcross.error"] == "e" * 500


def test_mlflow_goes_on_with_its_run_and_logs_no_step_twice(store, tmp_path):
    first = mlflow_tracker(tmp_path)
    for step in (1, 2, 3):
        first.log(step, NUMBERS)
    second = mlflow_tracker(tmp_path)
    for step in (2, 3, 4):
        second.log(step, {**NUMBERS, "loss": 9.0})
    assert store.runs["run0"].info.status == "RUNNING"
    second.finish({"state": "failed", "steps": 4})
    # The same tracker may be told more after a failure.
    second.log(4, NUMBERS)
    second.log(5, NUMBERS)
    second.finish(DONE)
    (run,) = store.runs.values()
    assert steps_of(run) == [1, 2, 3, 4, 5]
    assert [point.value for point in run.points if point.key == "loss"] == [0.5, 0.5, 0.5, 9.0, 0.5]
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("gone", ["removed", "deleted"])
def test_a_run_that_mlflow_has_no_more_is_begun_again(store, tmp_path, gone):
    mlflow_tracker(tmp_path).log(1, NUMBERS)
    if gone == "removed":
        store.runs["elsewhere"] = store.runs.pop("run0")
    else:
        store.runs["run0"].info.lifecycle_stage = "deleted"
    mlflow_tracker(tmp_path).log(1, NUMBERS)
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text()) == {"run": "run1"}
    assert steps_of(store.runs["run1"]) == [1]


def test_other_errors_of_mlflow_are_not_swallowed(store, tmp_path, monkeypatch):
    mlflow_tracker(tmp_path).log(1, NUMBERS)

    def refuse(_client, _run_id):
        raise fakes.MlflowError("PERMISSION_DENIED")

    monkeypatch.setattr(fakes.MlflowClient, "get_run", refuse)
    with pytest.raises(fakes.MlflowError, match="PERMISSION_DENIED"):
        mlflow_tracker(tmp_path).log(2, NUMBERS)


def test_without_a_folder_each_tracker_has_a_run_of_its_own(store):
    mlflow_tracker().log(1, NUMBERS)
    mlflow_tracker().log(1, NUMBERS)
    assert len(store.runs) == 2


def test_numbers_are_sent_together(store, monkeypatch):
    monkeypatch.setattr(adapter, "SEND_EVERY", 1e9)
    tracker = mlflow_tracker(config={f"setting{number}": number for number in range(250)})
    for step in range(1, 701):
        tracker.log(step, NUMBERS)
    tracker.finish(DONE)
    # Parameters come first, in parts; then as many numbers at a time as MLflow takes.
    assert store.requests == [0, 0, 0, 999, 999, 102, 1]
    (run,) = store.runs.values()
    assert steps_of(run) == list(range(1, 701))


def test_an_experiment_that_another_process_makes_at_the_same_moment(store):
    store.made_elsewhere = True
    mlflow_tracker().log(1, NUMBERS)
    (run,) = store.runs.values()
    assert run.info.experiment_id == "7"


class Requests(SimpleNamespace):
    """As much of requests as the look at a server sees."""

    class ConnectionError(OSError):  # noqa: A001 (as requests names it)
        pass

    class Timeout(OSError):
        pass

    exceptions = SimpleNamespace(SSLError=type("SSLError", (ConnectionError,), {}))


@pytest.mark.parametrize("kind", ["ConnectionError", "Timeout"])
def test_a_server_that_does_not_answer(store, monkeypatch, kind):
    asked = []

    def head(uri, timeout):
        asked.append((uri, timeout))
        raise getattr(Requests, kind)("no route")

    monkeypatch.setitem(sys.modules, "requests", Requests(head=head))
    tracker = MlflowTracker("few-shot", tracking_uri="http://host:5000")
    with pytest.raises(InputError, match=r"MLflow server does not answer .no route.; start it, or"):
        tracker.log(1, NUMBERS)
    assert asked == [("http://host:5000", 10.0)]
    assert store.runs == {}


@pytest.mark.parametrize("refuses", [False, True])
def test_a_server_that_answers_whatever_it_says(store, monkeypatch, refuses):
    def head(uri, timeout):
        if refuses:
            raise Requests.exceptions.SSLError("a certificate of our own")

    monkeypatch.setitem(sys.modules, "requests", Requests(head=head))
    MlflowTracker("few-shot", tracking_uri="https://host").log(1, NUMBERS)
    assert sys.modules["mlflow"].uris == ["https://host"]
    assert len(store.runs) == 1


# -- wandb and trackio -----------------------------------------------------------------------------


def wandb_tracker(client, folder=None, **more):
    tracker = WandbTracker("few-shot", "protonet", client.__name__, folder=folder, **more)
    assert isinstance(tracker, Tracker)
    return tracker


def test_a_client_gets_a_run_with_its_numbers_and_its_end(client, tmp_path):
    options = {"group": "other"} if client.__name__ == "trackio" else {"entity": "us"}
    tracker = wandb_tracker(client, tmp_path, group="g", config={"lr": 0.1}, options=options)
    assert client.started == []
    tracker.log(1, NUMBERS)
    tracker.log(2, NUMBERS)
    tracker.finish(DONE)
    (run,) = client.started
    expected = {"project": "few-shot", "name": "protonet", "group": "g", "config": {"lr": 0.1}}
    assert run.arguments.items() >= {**expected, **options}.items()
    assert run.rows[:2] == [(1, NUMBERS), (2, NUMBERS)]
    if client.__name__ == "wandb":
        assert run.arguments["dir"] == str(tmp_path)
        assert run.arguments["reinit"] == "create_new"
        assert run.arguments["settings"] == {"console": "off"}
        assert (run.summary, run.ended) == (DONE, [0])
    else:
        summary = {"summary/state": "finished", "summary/steps": 3, "summary/stopped": "steps"}
        assert run.rows[2:] == [(3, summary)]
        assert run.ended == [None]


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_wandb_gets_an_exit_status(monkeypatch, state):
    client = fakes.WandbShaped("wandb")
    monkeypatch.setitem(sys.modules, "wandb", client)
    wandb_tracker(client).finish({"state": state, "steps": 0})
    assert client.started[0].ended == [1]
    assert "dir" not in client.started[0].arguments


def test_wandb_goes_on_with_its_run_and_logs_no_step_twice(monkeypatch, tmp_path):
    client = fakes.WandbShaped("wandb")
    monkeypatch.setitem(sys.modules, "wandb", client)
    wandb_tracker(client, tmp_path).log(1, NUMBERS)
    # wandb's next step is 4: it has 1 to 3.
    client.step = 4
    tracker = wandb_tracker(client, tmp_path)
    for step in (3, 4, 5):
        tracker.log(step, NUMBERS)
    first, second = client.started
    assert (second.arguments["id"], second.arguments["resume"]) == (first.id, "allow")
    assert [step for step, _ in second.rows] == [4, 5]


def test_trackio_goes_on_with_its_own_run_alone(monkeypatch, tmp_path):
    client = fakes.WandbShaped("trackio")
    monkeypatch.setitem(sys.modules, "trackio", client)
    wandb_tracker(client, tmp_path).log(1, NUMBERS)
    client.newest = client.started[0].id
    wandb_tracker(client, tmp_path).log(2, NUMBERS)
    assert [run.id for run in client.started] == ["new0", "new0"]
    # The newest run of this name is another training's.
    client.newest = "another"
    wandb_tracker(client, tmp_path).log(3, NUMBERS)
    *_, wrong, own = client.started
    assert (wrong.id, wrong.rows) == ("another", [])
    assert "resume" not in own.arguments
    assert own.rows == [(3, NUMBERS)]


def test_what_trackio_prints_is_not_among_results(monkeypatch, capsys):
    client = fakes.WandbShaped("trackio")
    monkeypatch.setitem(sys.modules, "trackio", client)
    for name in ("init", "finish"):
        plain = getattr(client, name)

        def printing(plain=plain, **arguments):
            print("* Trackio")
            return plain(**arguments)

        monkeypatch.setattr(client, name, printing)
    tracker = wandb_tracker(client)
    tracker.log(1, NUMBERS)
    tracker.finish(DONE)
    assert capsys.readouterr() == ("", "* Trackio\n" * 2)

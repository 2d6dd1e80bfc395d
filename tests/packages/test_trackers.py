"""Trackers of the real libraries: what they wrote is read back by the libraries themselves."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.experiment.small import command, files, prepare
from tests.packages.tracked import SCENARIOS, STATUSES, surroundings
from torchcross.experiment import verify_run
from torchcross.training import read_log

INSTALLED = all(map(find_spec, ("tensorboard", "mlflow", "wandb", "trackio")))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSTALLED, reason="`make packages` installs the libraries"),
]

ROOT = Path(__file__).parents[2]
NUMBERS = ("loss", "lr", "gradient_norm", "score")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The folders of all scenarios, from one process."""
    root = tmp_path_factory.mktemp("tracked")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.packages.tracked", str(root)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr
    return root


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_process_ended_as_it_should(root, scenario):
    statuses = json.loads((root / scenario / "statuses.json").read_text())
    expected = [STATUSES[deed] for deed in SCENARIOS[scenario]]
    assert statuses == expected, (root / scenario / "stderr.txt").read_text()
    # What a library prints goes to where people look, and not among results.
    assert (root / scenario / "stdout.txt").read_text() == ""


def points(folder):
    """name -> (step, value), as log.csv has them."""
    rows = read_log(folder / "training")
    return {
        name: [(row[0], row[place]) for row in rows if row[place] is not None]
        for place, name in enumerate(NUMBERS, 1)
    }


# -- TensorBoard -----------------------------------------------------------------------------------


def scalars_in(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }
    texts = [event.tensor_proto.string_val[0] for event in events.Tensors("summary/text_summary")]
    return scalars, [text.decode() for text in texts]


@pytest.mark.filterwarnings("ignore")  # TensorBoard warns of what it imports
@pytest.mark.parametrize("way", ["whole", "killed"])
def test_tensorboard_shows_each_step_once(root, way):
    expected = points(root / f"tensorboard-{way}")
    scalars, (summary,) = scalars_in(root / f"tensorboard-{way}" / "tensorboard")
    assert scalars.keys() == expected.keys()
    for name, values in scalars.items():
        # Event files have 32 bits.
        assert values == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected[name]]
    assert "| state | finished |" in summary
    assert "| best_step | 8 |" in summary


@pytest.mark.filterwarnings("ignore")  # as above
def test_tensorboard_shows_the_end_of_a_failure_until_it_goes_on(root):
    scalars, (summary,) = scalars_in(root / "tensorboard-failed" / "tensorboard")
    assert [step for step, _ in scalars["loss"]] == [1, 2, 3, 4]
    assert "| error | ReadError: the disk is gone |" in summary
    scalars, summaries = scalars_in(root / "tensorboard-mended" / "tensorboard")
    assert [step for step, _ in scalars["loss"]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert "| state | finished |" in summaries[-1]


# -- MLflow ----------------------------------------------------------------------------------------


@pytest.fixture
def mlflow_runs(root, monkeypatch):
    """(client, runs) of a scenario."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    def runs(scenario):
        client = MlflowClient(tracking_uri=(root / scenario / "mlruns").as_uri())
        experiment = client.get_experiment_by_name("torchcross-tests")
        return client, client.search_runs([experiment.experiment_id])

    return runs


def steps_of(client, run, name="loss"):
    return [point.step for point in client.get_metric_history(run.info.run_id, name)]


@pytest.mark.filterwarnings("ignore")  # MLflow warns of its own file store
@pytest.mark.parametrize("way", ["whole", "killed"])
def test_mlflow_has_each_step_once(root, mlflow_runs, way):
    expected = points(root / f"mlflow-{way}")
    client, (run,) = mlflow_runs(f"mlflow-{way}")
    for name, values in expected.items():
        history = client.get_metric_history(run.info.run_id, name)
        assert [(point.step, point.value) for point in history] == values
    assert run.info.run_name == "protonet-seed_0"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"meta.lr": "0.01", "meta.schedule": "constant", "seed": "7"}
    assert run.data.tags["group"] == "first run"
    assert run.data.tags["torchcross.stopped"] == "steps"
    assert run.data.metrics["best_score"] == expected["score"][-1][1]
    assert (run.data.metrics["steps"], run.data.metrics["best_step"]) == (8, 8)


@pytest.mark.filterwarnings("ignore")  # as above
def test_mlflow_knows_of_a_failure_until_it_goes_on(mlflow_runs):
    client, (run,) = mlflow_runs("mlflow-failed")
    assert run.info.status == "FAILED"
    assert run.data.tags["torchcross.error"] == "ReadError: the disk is gone"
    assert steps_of(client, run) == [1, 2, 3, 4]
    client, (run,) = mlflow_runs("mlflow-mended")
    assert run.info.status == "FINISHED"
    assert steps_of(client, run) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.filterwarnings("ignore")  # as above
def test_a_run_that_was_deleted_is_begun_again(mlflow_runs):
    client, (run,) = mlflow_runs("mlflow-deleted")
    assert steps_of(client, run) == [5, 6, 7, 8]


def test_a_server_that_does_not_answer_is_said_once_and_stops_nothing(root):
    said = (root / "mlflow-unreachable" / "stderr.txt").read_text()
    assert said.count("TrackerWarning: MlflowTracker failed at step 1") == 1
    assert "the MLflow server does not answer" in said
    assert len(points(root / "mlflow-unreachable")["loss"]) == 8


# -- wandb -----------------------------------------------------------------------------------------


def records_of(path):
    """The records of a file of wandb: a log of LevelDB's form, in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    data, block = path.read_bytes(), 1 << 15
    at, whole = 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        # 1: a whole record; 4: the last part of one.
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def wandb_runs(folder):
    """(id, name, group, rows, summary, exit code) of each part of a run, in order."""
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        found = {"rows": [], "summary": {}}
        for record in records_of(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                run = record.run
                found |= {"id": run.run_id, "name": run.display_name, "group": run.run_group}
                found["config"] = {
                    item.key: json.loads(item.value_json) for item in run.config.update
                }
            elif kind == "history":
                row = {
                    item.key or ".".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
                found["rows"].append((record.history.step.num, row))
            elif kind == "summary":
                for item in record.summary.update:
                    name = item.key or ".".join(item.nested_key)
                    found["summary"][name] = json.loads(item.value_json)
            elif kind == "exit":
                found["exit"] = record.exit.exit_code
        yield found


def of_rows(rows):
    return {name: [(step, row[name]) for step, row in rows if name in row] for name in NUMBERS}


def test_wandb_has_the_run_of_a_training(root):
    expected = points(root / "wandb-whole")
    (run,) = wandb_runs(root / "wandb-whole")
    assert of_rows(run["rows"]) == expected
    assert (run["name"], run["group"], run["exit"]) == ("protonet-seed_0", "first run", 0)
    assert run["config"]["meta"] == {"lr": 0.01, "schedule": "constant"}
    assert run["summary"]["state"] == "finished"
    assert run["summary"]["best_score"] == expected["score"][-1][1]


def test_wandb_goes_on_with_its_run_after_a_kill(root):
    folder = root / "wandb-killed"
    parts = [path.name.split("-")[-1] for path in folder.glob("wandb/offline-run-*")]
    *_, run = wandb_runs(folder)
    assert parts == [run["id"]] * 2
    # What wandb had not written when the process was killed is lost. Which steps a run has
    # already is known online only.
    assert of_rows(run["rows"])["loss"] == points(folder)["loss"][4:]
    assert run["exit"] == 0


def test_wandb_knows_of_a_failure(root):
    (run,) = wandb_runs(root / "wandb-failed")
    assert run["exit"] == 1
    assert run["summary"]["error"] == "ReadError: the disk is gone"


def test_wandb_without_a_login_stops_nothing(root):
    said = (root / "wandb-login" / "stderr.txt").read_text()
    assert said.count("TrackerWarning: WandbTracker failed at step 1") == 1
    assert len(points(root / "wandb-login")["loss"]) == 8


# -- trackio ---------------------------------------------------------------------------------------

READ_TRACKIO = """
import json
from trackio.sqlite_storage import SQLiteStorage as store
runs = store.get_run_records("torchcross-tests")
print(json.dumps([
    {
        "name": run["name"],
        "rows": store.get_logs("torchcross-tests", run["name"], run_id=run["id"]),
        "config": store.get_run_config("torchcross-tests", run["name"], run_id=run["id"]),
    }
    for run in runs
]))
"""


def trackio_runs(folder):
    read = subprocess.run(
        [sys.executable, "-c", READ_TRACKIO],
        env=os.environ | surroundings(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(read.stdout)


@pytest.mark.parametrize("way", ["whole", "killed"])
def test_trackio_has_the_run_of_a_training(root, way):
    expected = points(root / f"trackio-{way}")
    (run,) = trackio_runs(root / f"trackio-{way}")
    assert run["name"] == "protonet-seed_0"
    assert run["config"]["_Group"] == "first run"
    assert run["config"]["meta"] == {"lr": 0.01, "schedule": "constant"}
    rows = [(row["step"], row) for row in run["rows"]]
    (ending,) = [row for _, row in rows if "summary/state" in row]
    assert (ending["summary/state"], ending["summary/steps"]) == ("finished", 8)
    # A step that was lost to a kill is there twice, with the same numbers.
    lost = {"whole": [], "killed": [5]}[way]
    for name, values in of_rows(rows).items():
        twice = [value for value in expected[name] if value[0] in lost]
        assert sorted(values) == sorted([*expected[name], *twice])


# -- runs ------------------------------------------------------------------------------------------

TRACKED = (
    "trackers.tensorboard=true",
    "trackers.wandb.project=torchcross-tests",
    "trackers.wandb.client=trackio",
)


def run(folder, out, *settings):
    flags = [part for setting in settings for part in ("--set", setting)]
    ran = subprocess.run(
        [sys.executable, "-m", "torchcross", *command(folder, out, *flags)],
        env=os.environ | surroundings(folder) | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of two runs of one experiment: `plain`, and `tracked` by all libraries."""
    folder = prepare(tmp_path_factory.mktemp("runs"))
    run(folder, folder / "plain")
    store = f"trackers.mlflow.uri={(folder / 'mlruns').as_uri()}"
    run(folder, folder / "tracked", *TRACKED, store)
    return folder


def test_a_run_with_real_trackers_leaves_the_same_bytes(runs):
    plain, tracked = (files(runs / name) for name in ("plain", "tracked"))
    for part in ("rows/", "train/", "episodes/", "predictions/", "report.html", "table."):
        chosen = {name for name in plain if name.startswith(part)}
        assert chosen
        # The run's name stands in its rows.
        if part not in ("rows/", "report.html", "table."):
            assert {name: plain[name] for name in chosen} == {
                name: tracked[name] for name in tracked if name.startswith(part)
            }
    for path in (runs / "plain" / "rows").iterdir():
        other = (runs / "tracked" / "rows" / path.name).read_bytes()
        lines = path.read_bytes().splitlines()[:-1]
        assert other.replace(b"tracked,", b"plain,").splitlines()[:-1] == lines
    assert verify_run(runs / "tracked").holds


@pytest.mark.filterwarnings("ignore")  # MLflow warns of its own file store, TensorBoard of imports
def test_each_training_of_a_run_is_a_run_of_each_tracker(runs, monkeypatch):
    trainings = {path.name for path in (runs / "tracked" / "train").iterdir()}
    assert len(trainings) > 2
    assert {path.name for path in (runs / "tracked/trackers/tensorboard").iterdir()} == trainings
    for name in trainings:
        scalars, _ = scalars_in(runs / "tracked/trackers/tensorboard" / name)
        assert [step for step, _ in scalars["loss"]] == [1, 2, 3]
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(runs / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("torchcross")
    found = client.search_runs([experiment.experiment_id])
    assert {run.info.run_name for run in found} == trainings
    assert len(found) == len(trainings)
    assert {run.data.tags["torchcross.run"] for run in found} == {"tracked"}
    assert {run.data.params["meta.steps"] for run in found} == {"3"}
    assert not any("trackers" in name for run in found for name in run.data.params)
    of_trackio = trackio_runs(runs)
    assert {run["name"] for run in of_trackio} == trainings
    assert {run["config"]["_Group"] for run in of_trackio} == {"tracked"}

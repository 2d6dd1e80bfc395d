"""Trainings with real trackers, in processes of their own: many libraries read their surroundings
when they are imported, and one that is killed takes nobody with it.

    python -m tests.packages.tracked FOLDER

Each scenario has a folder. Torch is imported once, and every training is a fork: "kill" dies by
SIGKILL in step 5, after the checkpoint of step 4; "fail" fails there; "end" goes on to its end.
Exit statuses are in `statuses.json`, and what was printed in `stdout.txt` and `stderr.txt`.
"""

import json
import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

import torch

from tests.training.subjects import Recorder, Told, magnitude, options, protonet, sampler
from torchcross.errors import ReadError
from torchcross.interop import MlflowTracker, TensorBoardTracker, WandbTracker
from torchcross.interop.trackers import mlflow
from torchcross.training import fit

CONFIG = {"meta": {"lr": 0.01, "schedule": "constant"}, "seed": 7}
RUN, PROJECT, GROUP = "protonet-seed_0", "torchcross-tests", "first run"
# The last training of these only loads the weights.
WHOLE, KILLED, MENDED = ("end", "end"), ("kill", "end"), ("fail", "end")
SCENARIOS = {
    "tensorboard-whole": WHOLE,
    "tensorboard-killed": KILLED,
    "tensorboard-failed": ("fail",),
    "tensorboard-mended": MENDED,
    "mlflow-whole": WHOLE,
    "mlflow-killed": KILLED,
    "mlflow-failed": ("fail",),
    "mlflow-mended": MENDED,
    "mlflow-deleted": ("kill", "delete", "end"),
    "mlflow-unreachable": ("end",),
    "wandb-whole": WHOLE,
    "wandb-killed": KILLED,
    "wandb-failed": ("fail",),
    "wandb-login": ("end",),
    "trackio-whole": WHOLE,
    "trackio-killed": KILLED,
}
STATUSES = {"kill": -9, "fail": 1, "end": 0, "delete": 0}
OTHERS = {
    "mlflow-unreachable": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"},
    "wandb-login": {"WANDB_MODE": "online"},
}


def surroundings(folder):
    """Nothing leaves the folder."""
    return {
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "DISABLE_MLFLOW_TELEMETRY": "true",
        "WANDB_MODE": "offline",
        "TRACKIO_DIR": str(folder / "trackio"),
        **OTHERS.get(folder.name, {}),
    }


def tracker_of(library, folder):
    if library == "tensorboard":
        return TensorBoardTracker(folder / "tensorboard")
    if library == "mlflow":
        # Each step is sent at once, so that it is known what a kill loses.
        mlflow.SEND_EVERY = 0.0
        return MlflowTracker(PROJECT, RUN, folder=folder, tags={"group": GROUP}, config=CONFIG)
    return WandbTracker(PROJECT, RUN, library, group=GROUP, folder=folder, config=CONFIG)


class Ending(Recorder):
    """It comes after the other tracker, so that step 5 is logged before its end."""

    def log(self, step, numbers):
        if step == 5:
            # trackio writes twice a second.
            time.sleep(1.5)
            os.kill(os.getpid(), signal.SIGKILL)


def train(library, folder, deed):
    def told(_self, call, step, _items):
        if deed == "fail" and call == 5:
            raise ReadError("the disk is gone")
        return step

    trackers = [tracker_of(library, folder)]
    fit(
        Told(protonet(), told),
        sampler(),
        options(steps=8, validate_every=4, checkpoint_every=3),
        folder=folder / "training",
        validate=magnitude,
        track=[*trackers, Ending()] if deed == "kill" else trackers,
    )


def delete_runs():
    client = import_module("mlflow").MlflowClient()
    for run in client.search_runs([client.get_experiment_by_name(PROJECT).experiment_id]):
        client.delete_run(run.info.run_id)


def forked(folder, deed):
    child = os.fork()
    if not child:
        for stream, number in (("stdout", 1), ("stderr", 2)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            os.dup2(os.open(folder / f"{stream}.txt", flags, 0o644), number)
        os.environ |= surroundings(folder)
        try:
            if deed == "delete":
                delete_runs()
            else:
                train(folder.name.split("-")[0], folder, deed)
        except ReadError:
            # Threads that send, and what runs at exit, must end here too.
            sys.exit(1)
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(root):
    torch.set_num_threads(1)
    for scenario, deeds in SCENARIOS.items():
        folder = Path(root, scenario)
        folder.mkdir()
        statuses = [forked(folder, deed) for deed in deeds]
        (folder / "statuses.json").write_text(json.dumps(statuses))


if __name__ == "__main__":
    main(sys.argv[1])

"""Runs that are killed at chosen moments by SIGKILL, and then run again. Prints what came of it as
JSON.

    python -m tests.training.killing FOLDER

One process imports torch, and every run is a fork of it.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from tests.training.subjects import SUBJECTS, magnitude, options
from torchcross.training import fit
from torchcross.training.checkpoints import Checkpoints
from torchcross.training.log import CsvLog
from torchcross.training.step import Stepper

OPTIONS = {
    "steps": 9,
    "warmup": 2,
    "schedule": "cosine",
    "ema": 0.9,
    "clip": 1.0,
    "validate_every": 2,
    "checkpoint_every": 3,
}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner, name, call, deed=lambda *given: None):
    """Die at a certain call of a function, after a last deed."""
    plain, calls = getattr(owner, name), []

    def patched(*given, **more):
        calls.append(1)
        if len(calls) == call:
            deed(*given)
            die()
        return plain(*given, **more)

    setattr(owner, name, patched)


def half_of_the_file(descriptor):
    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)


def half_of_the_row(log, line):
    os.write(log._file.fileno(), line[: len(line) // 2].encode())


# A checkpoint has three: of the log, of its file, and of the folder after the rename. The first has
# no log yet.
MOMENTS = {
    "before the first step": lambda: before(Stepper, "gradients", 1),
    "in step 2": lambda: before(Stepper, "gradients", 2),
    "in step 4": lambda: before(Stepper, "gradients", 4),
    "in step 6": lambda: before(Stepper, "gradients", 6),
    "in the last step": lambda: before(Stepper, "gradients", 9),
    "while the first checkpoint is written": lambda: before(os, "fsync", 1, half_of_the_file),
    "while the second checkpoint is written": lambda: before(os, "fsync", 4, half_of_the_file),
    "while the last but one checkpoint is written": lambda: before(
        os, "fsync", 13, half_of_the_file
    ),
    "before a checkpoint is renamed": lambda: before(Path, "replace", 3),
    "before an old checkpoint is removed": lambda: before(Path, "unlink", 6),
    "in the middle of a row": lambda: before(CsvLog, "_write_line", 6, half_of_the_row),
    "before a checkpoint": lambda: before(Checkpoints, "save", 3),
    "before the weights are written": lambda: before(Path, "replace", 8),
}
FEW = (
    "in step 6",
    "while the last but one checkpoint is written",
    "before the weights are written",
)


class FileTracker:
    """A tracker whose lines outlive a kill: "step loss" or "finish state steps"."""

    def __init__(self, path):
        self.path = path

    def log(self, step, numbers):
        self.write(f"{step} {numbers['loss']!r}")

    def finish(self, summary):
        self.write(f"finish {summary['state']} {summary['steps']}")

    def write(self, line):
        with self.path.open("a") as file:
            file.write(f"{line}\n")


def tracked_lines(folder):
    return folder.with_name(f"{folder.name}-tracked.txt")


def train(subject, folder):
    make, data = SUBJECTS[subject]
    result = fit(
        make(),
        data(),
        options(**OPTIONS),
        folder=folder,
        validate=magnitude,
        track=FileTracker(tracked_lines(folder)),
    )
    (folder / "result.txt").write_text(repr(result).replace(folder.name, ""))


def forked(run):
    child = os.fork()
    if not child:
        run()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def files(folder):
    return {
        path.name: path.read_bytes().hex()
        for path in sorted(folder.iterdir())
        if path.name != "lock"
    }


def found_in(folder, statuses):
    lines = tracked_lines(folder).read_text().splitlines()
    return {"statuses": statuses, "files": files(folder), "tracked": lines}


def killed_and_run_again(subject, moment, folder):
    def killed():
        MOMENTS[moment]()
        train(subject, folder)

    statuses = [forked(killed), forked(lambda: train(subject, folder))]
    return found_in(folder, statuses)


def main(root):
    torch.set_num_threads(1)
    found = {}
    for subject in SUBJECTS:
        whole = root / f"{subject}-whole"
        train(subject, whole)
        found[subject] = {"whole": found_in(whole, [0])}
        for number, moment in enumerate(FEW if subject == "maml" else MOMENTS):
            folder = root / f"{subject}-{number}"
            found[subject][moment] = killed_and_run_again(subject, moment, folder)
    (root / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Whole runs that are killed or interrupted at chosen moments, and then run again. Writes what came
of it, as JSON.

    python -m tests.experiment.killing FOLDER      (writes FOLDER/found.json)

One process imports torch, and every run is a fork of it. Syncing is left out: it guards against a
machine that stops, which nothing here can stage, and what was written before a SIGKILL is there
without it.
"""

import json
import os
import signal
import sys
from fnmatch import fnmatch
from pathlib import Path

import torch

from tests.experiment.small import command, files, prepare
from torchcross import cli
from torchcross.experiment.run import scoring, workbench
from torchcross.records import EpisodeRecord, Records
from torchcross.training.step import Stepper


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner, name, call, number=signal.SIGKILL):
    """Die, or get another signal, at a certain call of a function."""
    plain, calls = getattr(owner, name), []

    def patched(*given, **more):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return plain(*given, **more)

    setattr(owner, name, patched)


def before_the_rename(pattern, call=1, half=False):
    """Die when a file has its content, or half of it, and not yet its name."""
    plain, calls = Path.replace, []

    def replace(self, target):
        if fnmatch(Path(target).name, pattern):
            calls.append(1)
        if len(calls) == call:
            if half:
                os.truncate(self, self.stat().st_size // 2)
            die()
        return plain(self, target)

    Path.replace = replace  # type: ignore[method-assign]


def half_written(pattern, call=1):
    before_the_rename(pattern, call, half=True)


def after_rows(call, rows):
    """Die in the middle of an evaluation."""
    plain, calls = scoring.evaluate, []  # type: ignore[attr-defined]

    def evaluate(*given, **more):
        calls.append(1)
        for number, row in enumerate(plain(*given, **more)):
            if (len(calls), number) == (call, rows):
                die()
            yield row

    scoring.evaluate = evaluate  # type: ignore[attr-defined]


ROWS = "mm_maml-*-5_shots-*.csv"
MOMENTS = {
    "before anything has its name": lambda: before_the_rename("experiment.json"),
    "while the experiment is written": lambda: half_written("experiment.json"),
    "while the provenance is written": lambda: half_written("provenance.json"),
    "before the protocol has its name": lambda: before_the_rename("protocol.json"),
    "before the first step": lambda: before(Stepper, "gradients", 1),
    "in a training step": lambda: before(Stepper, "gradients", 3),
    "in a step of the last training": lambda: before(Stepper, "gradients", 17),
    "while a checkpoint is written": lambda: half_written("checkpoint-00000003.safetensors", 2),
    "before the weights have their name": lambda: before_the_rename("weights.safetensors", 3),
    "while the end of a training is told": lambda: half_written("training.json", 2),
    "between training and evaluation": lambda: before(workbench, "adapter", 2),
    "in the first evaluation": lambda: after_rows(1, 1),
    "in the middle of an evaluation": lambda: after_rows(6, 2),
    "while predictions are written": lambda: half_written("mm_maml-*-5_shots-*.safetensors"),
    "between predictions and rows": lambda: before_the_rename("mm_maml-*-5_shots-*.json"),
    "while an example is written": lambda: half_written("mm_maml-*.npz"),
    "while the first plans are written": lambda: half_written("plans-*.npz"),
    "before the last plans have their name": lambda: before_the_rename("plans-*.npz", 4),
    "while the first rows are written": lambda: half_written("*.csv"),
    "while rows are written": lambda: half_written(ROWS),
    "before rows have their name": lambda: before_the_rename(ROWS),
    "before the last rows have their name": lambda: before_the_rename("*.csv", 16),
    "while failures are written": lambda: half_written("failures.json"),
    "while the page is written": lambda: half_written("report.html"),
    "before the page has its name": lambda: before_the_rename("report.html"),
    "before a table has its name": lambda: before_the_rename("table.md"),
    "while the last table is written": lambda: half_written("table.csv"),
}
FEW = ("in a training step", "between predictions and rows", "while rows are written")
SOME = (
    *FEW,
    "before anything has its name",
    "before the protocol has its name",
    "while a checkpoint is written",
    "while the end of a training is told",
    "between training and evaluation",
    "before the last plans have their name",
    "while the last table is written",
)
"""One of each kind."""
INTERRUPTIONS = {
    "Ctrl-C in a training step": (130, lambda: before(Stepper, "gradients", 5, signal.SIGINT)),
    "Ctrl-C in an evaluation": (
        130,
        lambda: before(EpisodeRecord, "__post_init__", 60, signal.SIGINT),
    ),
    "SIGTERM in a training step": (143, lambda: before(Stepper, "gradients", 5, signal.SIGTERM)),
    "SIGTERM in an evaluation": (
        143,
        lambda: before(EpisodeRecord, "__post_init__", 60, signal.SIGTERM),
    ),
    "SIGTERM while rows are written": (
        143,
        lambda: before(Records, "write", 3, signal.SIGTERM),
    ),
}
TWICE = (
    ("in a training step", "between training and evaluation"),
    ("while the experiment is written", "before anything has its name"),
    ("while rows are written", "before rows have their name"),
    ("in the middle of an evaluation", "while the page is written"),
)


def kills() -> list[tuple[str, ...]]:
    """The moments at which a run is killed, one after the other, before it may end.

    `make test` has a few, `make long` (KILLS=some) one of each kind, `make faults` (KILLS=all) all.
    """
    which = os.environ.get("KILLS", "few")
    if which == "all":
        return [*((moment,) for moment in MOMENTS), *TWICE]
    if which == "some":
        return [*((moment,) for moment in SOME), TWICE[0]]
    return [(moment,) for moment in FEW]


def interruptions() -> list[str]:
    """The moments at which a run gets Ctrl-C or SIGTERM: two of them in `make test`."""
    return [*INTERRUPTIONS][:: 1 if "KILLS" in os.environ else 3]


def run(root, out, said):
    with said.open("w", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        return cli.main(command(root, out))


def forked(root, out, moment=None):
    """(how the process ended, what it said)"""
    said = out.with_suffix(".txt")
    child = os.fork()
    if not child:
        if moment in MOMENTS:
            MOMENTS[moment]()
        elif moment is not None:
            INTERRUPTIONS[moment][1]()
        os._exit(run(root, out, said))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.read_text(encoding="utf-8")


def killed_and_run_again(root, place, moments):
    out = place / "run"
    place.mkdir()
    ended = [forked(root, out, moment) for moment in moments]
    left = [path.name for path in out.rglob("*.part")]
    ended.append(forked(root, out))
    statuses, said = zip(*ended, strict=True)
    return {"statuses": statuses, "left": left, "files": files(out), "said": said}


def main(root):
    torch.set_num_threads(1)
    os.fsync = lambda fd: None
    os.chdir(root)
    prepare(root)
    # In this process, so that its forks need not import what is imported late.
    cli.main(command(root, root / "warm", "--quiet"))
    found = {"whole": killed_and_run_again(root, root / "whole", ())}
    for number, moments in enumerate([*kills(), *((moment,) for moment in interruptions())]):
        found[", ".join(moments)] = killed_and_run_again(root, root / str(number), moments)
    (root / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

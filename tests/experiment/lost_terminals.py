"""Whole runs whose standard streams fail. Writes the exit statuses, as JSON.

    python -m tests.experiment.lost_terminals FOLDER      (writes FOLDER/statuses.json)

One process imports all that a run needs, and every run is a fork of it. Syncing is left out: it is
not what is looked at.
"""

import json
import os
import pty
import sys
from pathlib import Path

import torch

from tests.experiment.small import command, prepare
from torchcross import cli
from torchcross.training.step import Stepper

ONE_TARGET = ("--algorithms", "protonet,ncm", "--targets", "oct", "--shots", "1")


def broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_disk():
    return os.open("/dev/full", os.O_WRONLY)


def closed_terminal():
    """It closes in the middle of a training, while a bar moves on it."""
    screen, terminal = pty.openpty()
    plain = Stepper.gradients

    def gradients(*given):
        if not closed:
            os.close(screen)
            closed.append(True)
        return plain(*given)

    closed = []
    Stepper.gradients = gradients  # type: ignore[method-assign]
    return terminal


def closed_stream():
    return None


STREAMS = {
    "broken pipe": broken_pipe,
    "full disk": full_disk,
    "closed terminal": closed_terminal,
    "closed stream": closed_stream,
}


def fork_run(root, name):
    """The number of the process."""
    child = os.fork()
    if child:
        return child
    descriptor = STREAMS[name]()
    for number in (1, 2):
        if descriptor is None:
            os.close(number)
        else:
            os.dup2(descriptor, number)
    sys.stdout = None if descriptor is None else os.fdopen(1, "w")
    sys.stderr = None if descriptor is None else os.fdopen(2, "w", buffering=1)
    os._exit(cli.main(command(root, root / name, *ONE_TARGET)))


def main(root):
    torch.set_num_threads(1)
    os.fsync = lambda fd: None
    os.chdir(root)
    prepare(root, ("oct", "bus"))
    # In this process, so that its forks need not import what is imported late.
    cli.main(command(root, root / "warm", *ONE_TARGET, "--quiet"))
    sys.stdout.flush()
    children = {name: fork_run(root, name) for name in STREAMS}
    statuses = {
        name: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for name, child in children.items()
    }
    (root / "statuses.json").write_text(json.dumps(statuses))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

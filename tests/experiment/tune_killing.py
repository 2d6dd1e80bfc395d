"""Searches that are killed at chosen moments, and then started again. Writes what came of it.

python -m tests.experiment.tune_killing FOLDER      (writes FOLDER/found.json)
"""

import json
import os
import sys
from pathlib import Path

import torch

from tests.experiment import killing
from tests.experiment.killing import before, before_the_rename, half_written
from tests.experiment.small import prepare
from torchcross import cli
from torchcross.experiment.tuning import scoring
from torchcross.training.step import Stepper

SPACE = """
[tune]
trials = 2
episodes = 2
queries = 1

[tune.space]
pretraining.lr = [1e-3, 1e-2]
meta.lr = [1e-3, 1e-2]
"""
MOMENTS = {
    "in a step of another trial": lambda: before(Stepper, "gradients", 8),
    "between training and scoring": lambda: before(scoring, "adapter", 1),
    "while a trial is written": lambda: half_written("mm_pt-trial_2-*.json"),
    "before a trial has its name": lambda: before_the_rename("protonet-trial_1-*.json"),
    "while the choice is written": lambda: half_written("chosen.json"),
}


def command(root, out, *more):
    flags = ("--algorithms", "mm-pt,protonet", "--targets", "oct", "--shots", "1", "--jobs", "1")
    return ["tune", str(root / "small.toml"), "--out", str(out), *flags, *more]


def search(root, out, said):
    with said.open("w", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        return cli.main(command(root, out))


def main(root):
    torch.set_num_threads(1)
    os.fsync = lambda fd: None
    os.chdir(root)
    prepare(root)
    config = root / "small.toml"
    config.write_text(config.read_text(encoding="utf-8") + SPACE, encoding="utf-8")
    killing.run = search
    killing.MOMENTS.update(MOMENTS)
    search(root, root / "warm", root / "warm.txt")
    found = {"whole": killing.killed_and_run_again(root, root / "whole", ())}
    for number, moment in enumerate(MOMENTS):
        found[moment] = killing.killed_and_run_again(root, root / str(number), (moment,))
    (root / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

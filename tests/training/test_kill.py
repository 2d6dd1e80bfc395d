"""A run that is killed (SIGKILL) and run again ends in the same bytes as one that is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.killing import FEW, MOMENTS, SUBJECTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CELLS = [
    (subject, moment) for subject in SUBJECTS for moment in (FEW if subject == "maml" else MOMENTS)
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What all the runs left behind, from one process."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "tests.training.killing",
        str(tmp_path_factory.mktemp("killed")),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize(("subject", "moment"), CELLS)
def test_it_goes_on_to_the_same_bytes(found, subject, moment):
    whole, again = found[subject]["whole"], found[subject][moment]
    assert again["statuses"] == [-9, 0]
    assert again["files"] == whole["files"]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_whole_run_left_what_it_should(found, subject):
    names = sorted(found[subject]["whole"]["files"])
    # Scores grow here: the best checkpoint is among the last two.
    assert names[-3:] == ["log.csv", "result.txt", "weights.safetensors"]
    assert [name for name in names if name.startswith("checkpoint")] == names[:-3]
    assert 2 <= len(names[:-3]) <= 3

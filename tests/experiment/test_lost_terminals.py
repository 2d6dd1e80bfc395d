"""A run goes on when nobody can follow it any more: in the end rows and page are there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchcross.experiment import RunFolder, verify_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has the streams that fail"),
]

ROOT = Path(__file__).parents[2]
STATUSES = {"broken pipe": 141, "full disk": 2, "closed terminal": 2, "closed stream": 0}
"""Of runs that are complete, where the table could not be shown in the end."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminals")
    command = [sys.executable, "-W", "error", "-m", "tests.experiment.lost_terminals", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.mark.long
@pytest.mark.parametrize("name", STATUSES)
def test_a_run_outlives_its_streams(folder, name):
    run = RunFolder(folder / name)
    assert run.failures() == []
    assert run.records().unique("algorithm") == ("protonet", "ncm")
    assert (run.path / "report.html").is_file()
    assert verify_run(run.path).holds
    assert json.loads((folder / "statuses.json").read_text())[name] == STATUSES[name]

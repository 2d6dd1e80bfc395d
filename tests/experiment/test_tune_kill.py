"""A search that is killed (SIGKILL) and started again leaves the same bytes as one that is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiment.tune_killing import MOMENTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-W", "error", "-m", "tests.experiment.tune_killing", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads((folder / "found.json").read_text(encoding="utf-8"))


def test_the_whole_search_left_what_it_should(found):
    whole = found["whole"]
    assert whole["statuses"] == [0]
    names = list(whole["files"])
    assert sum(name.startswith("trials/") for name in names) == 2 * 2
    assert not any(name.startswith("train/") for name in names)
    assert {"tuning.json", "chosen.json", "trials.csv", "provenance.json"} <= set(names)
    assert "next: torchcross run" in whole["said"][0]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_search_goes_on_to_the_same_bytes(found, moment):
    again = found[moment]
    assert again["statuses"] == [-9, 0]
    assert again["files"] == found["whole"]["files"]
    assert len(again["left"]) == ("written" in moment or "its name" in moment)

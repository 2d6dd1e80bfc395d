"""Every hostile file is refused with an error of the library, in bounded time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resource")

from tests.faults.attacks.attacking import LONGEST_MESSAGE, SECONDS
from tests.faults.attacks.files import ATTACKS

ROOT = Path(__file__).parents[3]
MEGABYTES = 100


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("attacks")
    command = [sys.executable, "-m", "tests.faults.attacks.attacking", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "outcomes.json").read_text())


@pytest.mark.long
@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused(outcomes: Any, name: str) -> None:
    outcome = outcomes[name]
    assert outcome["outcome"] == "refused", outcome
    assert outcome["length"] <= LONGEST_MESSAGE
    assert outcome["seconds"] < SECONDS / 4
    assert outcome["megabytes"] < MEGABYTES


def test_every_format_is_attacked() -> None:
    formats = {name.partition(":")[0] for name in ATTACKS}
    assert {"example", "TIFF", "HDF5", "YAML", "PNG", "table", "records", "means"} <= formats
    assert {"run", "safetensors", "weights", "predictor", "wheel", "tarball", "plans"} <= formats

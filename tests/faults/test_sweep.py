"""A sample of `make faults`: jobs that are disturbed and done again leave what they should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.operations import JOBS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FAULTS = 1


@pytest.mark.parametrize(
    "jobs", [[*JOBS][:1], pytest.param([*JOBS], marks=pytest.mark.long)], ids=["one", "all"]
)
def test_disturbed_jobs_fail_cleanly_and_go_on_to_the_same_bytes(
    tmp_path: Path, jobs: list[str]
) -> None:
    pytest.importorskip("resource")
    command = [sys.executable, "-m", "tests.faults.sweep", "--sample", str(FAULTS)]
    command += ["--only", *jobs]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*command, "--processes", "2"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if " faults, " in line]
    assert len(lines) == len(jobs)
    assert all(f": {FAULTS} of " in line for line in lines)

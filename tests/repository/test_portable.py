"""Nothing in either package needs what Windows lacks: a process without it imports, converts,
synthesises and trains.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_process_without_posix_does_everything(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.repository.without_posix", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("all done\n")

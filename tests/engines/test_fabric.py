"""Lightning Fabric itself launches two processes, and they have the curve of one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.training import launched
from torchcross.training import TorchMachine, read_log

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def test_two_processes_of_fabric(tmp_path):
    command = [sys.executable, "-m", "tests.training.with_fabric", str(tmp_path), "2"]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "ranks").read_text() == "[(2,), (2,)]"
    for subject in ("protonet", "multi-task"):
        launched.train(TorchMachine(), tmp_path / "alone", subject)
        rows = read_log(tmp_path / subject, hashed=True)
        expected = read_log(tmp_path / "alone" / subject)
        assert len(rows) == len(expected)
        for row, other in zip(rows, expected, strict=True):
            assert row == pytest.approx(other, rel=1e-9, abs=1e-9)

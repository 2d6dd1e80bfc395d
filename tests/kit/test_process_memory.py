"""The memory of a process is its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.sources import ROOT
from torchcross._kit.process_memory import most_resident_bytes, resident_bytes

FILLED = 300 * 2**20
CHILD = "from torchcross._kit.process_memory import most_resident_bytes as m; print(m())"


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="elsewhere a maximum is inherited"
)
def test_a_process_does_not_inherit_the_maximum_of_the_one_that_started_it():
    filled = bytearray(FILLED)
    filled[:: 2**12] = b"1" * len(filled[:: 2**12])
    command = [sys.executable, "-c", CHILD]
    most = int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    assert 2**20 < most < FILLED < most_resident_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say what a process holds")
def test_what_is_held_now_is_at_most_the_most():
    now, most = resident_bytes(), most_resident_bytes()
    assert 0 < now <= most * 1.01

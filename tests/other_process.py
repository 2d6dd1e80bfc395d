"""Modules of tests that need a process of their own: they kill it, or start ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def results_of_module(module: str, folder: Path) -> Any:
    """Run `python -m module folder`, which must succeed, and read its `found.json` there."""
    command = [sys.executable, "-W", "error", "-m", module, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads((folder / "found.json").read_text(encoding="utf-8"))

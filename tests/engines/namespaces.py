"""Machines of their own on one machine: Linux namespaces, by `unshare`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_USER = ("unshare", "--user", "--map-root-user", "--kill-child", "--fork")
MACHINE = ("--pid", "--mount", "--mount-proc", "--net", "--uts")
MOUNTS = ("--mount",)
CLOCK = ("--time", "--monotonic", "100000", "--boottime", "100000")


def can_unshare(*kinds: str) -> bool:
    """Whether this system lets us make such namespaces; containers often do not."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_USER, *kinds, "true"], capture_output=True).returncode == 0


def start_apart(
    kinds: Sequence[str], code: str, settings: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Run Python code in namespaces of its own; killing the process kills all that is in them."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), **(settings or {})}
    return subprocess.Popen(
        [*_USER, *kinds, sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

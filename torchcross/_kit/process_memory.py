"""How much of the machine's memory this process holds, and how much is free."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_STATUS = Path("/proc/self/status")
_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def resident_bytes() -> int | None:
    """What the process holds now (on macOS: the most so far); None where the system has no word."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * int(os.sysconf("SC_PAGE_SIZE"))
    return most_resident_bytes()


def most_resident_bytes() -> int | None:
    """The most that the process has held; None on systems that are not POSIX.

    On Linux it is not `getrusage`, whose maximum a process inherits from the one that started it.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes everywhere but on macOS.
    return most if sys.platform == "darwin" else most * 1024


def available_bytes() -> int | None:
    """What processes can still take, in a container too; None where the system has no word."""
    if not _MEMINFO.exists():
        return None
    available = 0
    for line in _MEMINFO.read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    try:
        limit = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        taken = int((_GROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return available
    return available if limit == "max" else min(available, max(0, int(limit) - taken))

"""Who a process is, so that another one can tell whether it still runs."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of a machine.

    `machine` is the start of its system and the space of its process numbers, which no two
    machines or containers share; "" where the system says neither. `started` is the moment of the
    process's start on the machine's own clock. `host` is for people.
    """

    host: str
    process: int
    machine: str = ""
    started: str = ""

    def as_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Any) -> ProcessIdentity | None:
        """None where the values are not those of a process."""
        if not isinstance(plain, dict) or set(plain) != {field.name for field in fields(cls)}:
            return None
        texts = all(isinstance(plain[name], str) for name in ("host", "machine", "started"))
        if not texts or type(plain["process"]) is not int:
            return None
        return cls(**plain)


def this_process() -> ProcessIdentity:
    number = os.getpid()
    start = ""
    with suppress(OSError):
        start = _start_of(number) or ""
    return ProcessIdentity(socket.gethostname(), number, _machine(), start)


def is_running(owner: ProcessIdentity) -> bool | None:
    """Whether the process still runs; None where this process cannot know."""
    if not owner.machine or owner.machine != _machine():
        return None
    try:
        return _start_of(owner.process) == owner.started
    except (FileNotFoundError, ProcessLookupError):
        return None if _is_hidden(owner.process) else False
    except OSError:
        return None


def _is_hidden(process: int) -> bool:
    """Whether there is a process that /proc does not show: it can hide those of other users.

    The signal 0 is sent to nobody. On Windows it would end the process, and there is no /proc.
    """
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    # It has begun just now.
    return False


@cache
def _machine() -> str:
    """Linux alone gives these numbers; elsewhere the lease decides."""
    spaces = Path("/proc/self/ns")
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbers = (spaces / "pid").readlink()
    except OSError:
        return ""
    clock = Path()
    with suppress(OSError):
        # Containers may shift the clock by which a process has its start; old systems cannot.
        clock = (spaces / "time").readlink()
    return f"{boot} {numbers} {clock}"


def _start_of(process: int) -> str | None:
    """The start of a running process; None of a zombie."""
    line = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    # The name, in brackets, may hold anything. State is the 3rd field, the start the 22nd.
    after_name = line.rpartition(")")[2].split()
    return None if after_name[0] in "ZX" else after_name[19]

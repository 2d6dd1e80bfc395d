"""Do two units of a job compute at one time where two threads of a process run them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

from torchcross.jobs import Job


class Meeting:
    """Calls that wait for each other. `met` says whether two of them ever ran at one time."""

    def __init__(self) -> None:
        self.met = False
        self._barrier = Barrier(2)

    def wait(self, *_: object) -> None:
        with suppress(BrokenBarrierError):
            self._barrier.wait(0.1)
            self.met = True


def computes_one_unit_at_a_time(
    job: Job, keys: Sequence[str], folder: Path, patch: Callable[[Callable[..., None]], None]
) -> bool:
    """Run two units in two threads. `patch` puts a call in the place of what units compute."""
    meeting = Meeting()
    patch(meeting.wait)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(job.run, keys, [folder / key for key in keys]))
    return not meeting.met

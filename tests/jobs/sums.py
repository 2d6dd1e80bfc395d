"""A job to test with: numbers, and sums of them. Each run of a unit leaves a witness."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchcross._kit.whole_files import write_whole
from torchcross.jobs import Resources, Unit, UnitReport
from torchcross.jobs.work import make_unit


@dataclass(frozen=True)
class Sums:
    """`numbers` units write their squares, and one for each `group` of them writes their sum.

    delay      seconds that each unit takes, written down in ten steps
    failing    units that raise
    deadly     units that kill their process
    """

    folder: str
    numbers: int = 6
    group: int = 3
    delay: float = 0.0
    failing: tuple[str, ...] = ()
    deadly: tuple[str, ...] = ()
    version: str = "1"

    def units(self) -> Sequence[Unit]:
        squares = [Unit(f"square{at}", (f"squares/{at}.json",)) for at in range(self.numbers)]
        sums = [
            Unit(
                f"sum{at}",
                (f"sums/{at}-parts", f"sums/{at}.json"),
                needs=tuple(f"square{number}" for number in self._members(at)),
                resources=Resources(cores=1),
            )
            for at in range(self.numbers // self.group)
        ]
        return [*squares, *sums]

    def fingerprint(self) -> Mapping[str, str]:
        return {"numbers": str(self.numbers), "version": self.version}

    def run(self, key: str, folder: Path) -> None:
        witnesses = Path(self.folder) / "witnesses"
        witnesses.mkdir(exist_ok=True)
        # Whole or not at all: others look for it, and then read it.
        unfinished = Path(self.folder) / f".{uuid.uuid4().hex}"
        unfinished.write_text(str(os.getpid()))
        unfinished.rename(witnesses / f"{key}{unfinished.name}")
        if key in self.failing:
            raise ValueError(f"{key} cannot be made")
        self._work(folder)
        if key in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        kind = "square" if key.startswith("square") else "sum"
        at = int(key.removeprefix(kind))
        if kind == "square":
            _write(folder / f"squares/{at}.json", {"value": at * at})
            return
        values = [
            json.loads((Path(self.folder) / f"squares/{number}.json").read_text())["value"]
            for number in self._members(at)
        ]
        _write(folder / f"sums/{at}-parts/values.json", {"values": values})
        _write(folder / f"sums/{at}.json", {"value": sum(values)})

    def _work(self, folder: Path) -> None:
        """Ten steps, each written down: an attempt that goes on does not repeat them."""
        steps = folder / "steps"
        done = int(steps.read_text()) if steps.exists() else 0
        for step in range(done, 10):
            time.sleep(self.delay / 10)
            if self.delay:
                write_whole(steps, str(step + 1))

    def _members(self, at: int) -> range:
        return range(at * self.group, (at + 1) * self.group)


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content))


def results(folder: Path) -> dict[str, bytes]:
    """Every result of the job by its name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in ("squares", "sums")
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }


def expected(numbers: int = 6, group: int = 3) -> dict[str, bytes]:
    """What the results must be."""

    def content(value: object) -> bytes:
        return json.dumps(value).encode()

    files = {f"squares/{at}.json": content({"value": at * at}) for at in range(numbers)}
    for at in range(numbers // group):
        values = [number * number for number in range(at * group, (at + 1) * group)]
        files[f"sums/{at}-parts/values.json"] = content({"values": values})
        files[f"sums/{at}.json"] = content({"value": sum(values)})
    return files


def runs_of(folder: Path) -> list[str]:
    """The keys of all units that were run, as often as they were."""
    return sorted(path.name.partition(".")[0] for path in (folder / "witnesses").iterdir())


def report_of(folder: Path, job: Sums, key: str = "square1") -> UnitReport:
    """What becomes of a unit that this process makes."""
    units = {unit.key: unit for unit in job.units()}
    return make_unit(job, units[key], str(folder), 60.0)


def run_in_another_process(
    folder: str, delay: float, lease: float, numbers: int = 6, jobs: int = 1
) -> None:
    """What a second `torchcross run` does: it says what failed, and its exit status is 1 then."""
    from torchcross.jobs import LocalEngine, run_job

    job = Sums(folder, numbers=numbers, delay=delay)
    result = run_job(job, folder, LocalEngine(jobs=jobs, cores=jobs), lease=lease)
    if result.failures:
        raise SystemExit(
            "\n".join(f"{each.key}: {each.kind}: {each.reason}" for each in result.failures)
        )

"""Faults at every file operation of small jobs; after each, the job is done again. Flipped bits.

    python -m tests.faults.sweep [--sample N] [--seed S] [--only JOB ...] [--processes N]

The second time it must succeed and leave the bytes of an undisturbed job and nothing else; the
first time it must fail with an error of the library, or have gone on in spite of the fault. What
must hold after a flipped bit stands in run_flips.py and dataset_flips.py. One process imports
torch, and every job is a fork of it. Prints what does not hold, as JSON lines.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from tests.faults.bit_flips import flips
from tests.faults.dataset_flips import FlippedDataset
from tests.faults.injector import Injector, install, kinds_of
from tests.faults.operations import JOBS, digests, prepare
from tests.faults.run_flips import FlippedRun

SLOWEST = 120
FLIPPED: dict[str, tuple[type[FlippedRun | FlippedDataset], int]] = {
    "flips in a run": (FlippedRun, 1500),
    "flips in a dataset": (FlippedDataset, 3000),
}
"""What is flipped, and how often."""


@dataclass(frozen=True)
class Case:
    job: str
    number: int
    kind: str
    operation: str
    path: str


@dataclass(frozen=True)
class Finding:
    case: Case
    problem: str
    said: str


def forked(
    job: str, shared: Path, place: Path, injector: Injector, counts: Path | None = None
) -> tuple[int, str]:
    """(how the process ended, what it said)"""
    said = place.with_suffix(".txt")
    sys.stdout.flush()
    child = os.fork()
    if not child:
        status = 70
        try:
            signal.alarm(SLOWEST)
            descriptor = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            install(injector)
            try:
                status = JOBS[job].do(shared, place)
            except BaseException:  # noqa: BLE001  # reported by the parent
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            if counts is not None:
                counts.write_text(json.dumps(injector.operations))
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, said.read_text(encoding="utf-8", errors="replace")


def cases_of(job: str, shared: Path, folder: Path) -> tuple[list[Case], dict[str, str]]:
    """All cases of a job, and the files of an undisturbed one."""
    place = folder / "whole"
    place.mkdir(parents=True)
    JOBS[job].begin(shared, place)
    injector = Injector(f"{place}/", sources=f"{shared}/")
    status, said = forked(job, shared, place, injector, folder / "counts.json")
    if status:
        raise SystemExit(f"{job} fails without a fault: {said}")
    cases = []
    operations = json.loads((folder / "counts.json").read_text())
    for number, (operation, path) in enumerate(operations):
        cases += [Case(job, number, kind, operation, path) for kind in kinds_of(operation)]
    whole = digests(place)
    shutil.rmtree(place)
    return cases, whole


def problem_of(case: Case, shared: Path, place: Path, whole: dict[str, str]) -> Finding | None:
    place.mkdir()
    JOBS[case.job].begin(shared, place)
    injector = Injector(f"{place}/", case.number, case.kind, sources=f"{shared}/")
    status, said = forked(case.job, shared, place, injector)
    problem = ""
    if case.kind in ("kill", "tear"):
        # Threads may do the operations in another order, and a file may have one write more.
        if status not in (-signal.SIGKILL, 0):
            problem = f"ended with {status}"
    elif status not in (0, 1, 2) or "Traceback" in said:
        problem = f"ended with {status}, and no error of the library"
    if not problem and (status or digests(place) != whole):
        again, said = forked(case.job, shared, place, Injector(f"{place}/"))
        # What is finished but for its lock exists, and is refused as that.
        if again and not (again == 2 and "exists" in said):
            problem = f"cannot be done again: status {again} after {status}"
    if not problem and (files := digests(place)) != whole:
        problem = difference(files, whole)
    shutil.rmtree(place)
    return Finding(case, problem, said[-1500:]) if problem else None


def difference(files: dict[str, str], whole: dict[str, str]) -> str:
    changes = sorted(
        f"{name}: {'left over' if name not in whole else 'other bytes'}"
        for name in files
        if files[name] != whole.get(name)
    )
    return f"leaves {changes[:6]}, lacks {sorted(whole.keys() - files.keys())[:6]}"


def sample(cases: list[Case], count: int | None, seed: int) -> list[Case]:
    """Some of the cases, drawn with a seed."""
    if count is None or count >= len(cases):
        return cases
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(cases), generator=generator)[:count].sort().values
    return [cases[place] for place in order.tolist()]


def sweep(job: str, shared: Path, folder: Path, options: argparse.Namespace) -> list[Finding]:
    cases, whole = cases_of(job, shared, folder)
    chosen = sample(cases, options.sample, options.seed)

    def look_at_part(part: int) -> Iterator[Finding]:
        for case in chosen[part :: options.processes]:
            finding = problem_of(case, shared, folder / f"case-{part}", whole)
            if finding is not None:
                yield finding

    findings = in_processes(look_at_part, folder, options.processes)
    print(f"{job}: {len(chosen)} of {len(cases)} faults, {len(findings)} do not hold", flush=True)
    return findings


def sweep_flips(job: str, folder: Path, options: argparse.Namespace) -> list[Finding]:
    kind, most = FLIPPED[job]
    count = most if options.sample is None else min(options.sample, most)
    folder.mkdir()

    def look_at_part(part: int) -> Iterator[Finding]:
        flipped = kind.prepare(folder / f"part-{part}")
        for flip in list(flips(flipped.states, count, options.seed))[part :: options.processes]:
            if problem := flipped.problem_of(flip):
                yield Finding(Case(job, flip.bit, "flip", flip.state, flip.name), problem, "")

    findings = in_processes(look_at_part, folder, options.processes)
    print(f"{job}: {count} faults, {len(findings)} do not hold", flush=True)
    return findings


def in_processes(
    look_at_part: Callable[[int], Iterable[Finding]], folder: Path, processes: int
) -> list[Finding]:
    """The findings of all parts, each of which is looked at in a process of its own."""
    children = []
    for part in range(processes):
        child = os.fork()
        if not child:
            status = 70
            try:
                with (folder / f"findings-{part}.jsonl").open("w", encoding="utf-8") as file:
                    for finding in look_at_part(part):
                        file.write(json.dumps(asdict(finding)) + "\n")
                status = 0
            except BaseException:  # noqa: BLE001  # the status says it
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise SystemExit(f"a process of the sweep in {folder.name} ended early")
    findings = []
    for part in range(processes):
        for line in (folder / f"findings-{part}.jsonl").read_text(encoding="utf-8").splitlines():
            plain = json.loads(line)
            findings.append(Finding(Case(**plain["case"]), plain["problem"], plain["said"]))
    return findings


def main(arguments: list[str] | None = None) -> int:
    names = [*JOBS, *FLIPPED]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        findings = sweep_all(Path(folder).resolve(), options)
    for finding in findings:
        print(json.dumps(asdict(finding)))
    return 1 if findings else 0


def sweep_all(root: Path, options: argparse.Namespace) -> list[Finding]:
    shared = root / "shared"
    prepare(shared)
    findings: list[Finding] = []
    for number, job in enumerate(options.only):
        if job in FLIPPED:
            findings += sweep_flips(job, root / f"job-{number}", options)
            continue
        # In this process, so that its forks need not import what is imported late.
        (root / f"warm-{number}").mkdir()
        JOBS[job].begin(shared, root / f"warm-{number}")
        JOBS[job].do(shared, root / f"warm-{number}")
        findings += sweep(job, shared, root / f"job-{number}", options)
    return findings


if __name__ == "__main__":
    sys.exit(main())

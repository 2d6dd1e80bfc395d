"""Machines that share a folder: with the same host name, other clocks, other rights, full disks."""

import os
import random
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engines.namespaces import CLOCK, MACHINE, MOUNTS, can_unshare, start_apart
from tests.jobs.sums import Sums, expected, results, runs_of
from torchcross.jobs import LocalEngine, run_job

pytestmark = pytest.mark.slow

RUN = """
import socket
if {host!r}:
    socket.sethostname({host!r})
from tests.jobs.sums import run_in_another_process
run_in_another_process({folder!r}, {delay}, {lease}, {numbers})
"""


def code(folder, delay=0.3, lease=60.0, numbers=12, host=""):
    return RUN.format(folder=str(folder), delay=delay, lease=lease, numbers=numbers, host=host)


def ended(process):
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said


@pytest.mark.skipif(not can_unshare(*MACHINE), reason="no namespaces can be made here")
def test_two_machines_with_the_same_host_name_and_process_numbers(tmp_path):
    machines = [start_apart(MACHINE, code(tmp_path, host="same")) for _ in range(2)]
    for process in machines:
        ended(process)
    made = runs_of(tmp_path)
    assert len(made) == len(set(made)) == 16
    assert results(tmp_path) == expected(12)
    processes = [int(path.read_text()) for path in (tmp_path / "witnesses").iterdir()]
    assert max(processes) < 100, "numbers start anew in each namespace"


@pytest.mark.skipif(not can_unshare(*MACHINE), reason="no namespaces can be made here")
def test_a_machine_that_is_switched_off_is_followed_after_the_lease(tmp_path):
    (tmp_path / "witnesses").mkdir()
    dying = start_apart(MACHINE, code(tmp_path, delay=2.0, lease=3.0, host="same"))
    wait_for(lambda: list((tmp_path / "witnesses").iterdir()))
    dying.kill()
    dying.communicate()
    (lost,) = {path.name.partition(".")[0] for path in (tmp_path / "witnesses").iterdir()}
    ended(start_apart(MACHINE, code(tmp_path, delay=0.1, lease=3.0, host="same")))
    made = runs_of(tmp_path)
    assert made.count(lost) == 2
    assert len(made) == 17
    assert results(tmp_path) == expected(12)


@pytest.mark.parametrize("kinds", [(), ("--pid", "--mount-proc", *CLOCK)], ids=["wall", "all"])
def test_clocks_that_differ_by_hours(tmp_path, kinds):
    """Times of day, times of files and (in a namespace) times since the start of the system."""
    if kinds and not can_unshare(*kinds):
        pytest.skip("no namespaces of clocks can be made here")
    folder, hooks = tmp_path / "job", tmp_path / "hooks"
    hooks.mkdir()
    folder.mkdir()
    (hooks / "sitecustomize.py").write_text(
        "import os, time\n"
        "day, hours = time.time, float(os.environ['HOURS'])\n"
        "time.time = lambda: day() + 3600 * hours\n"
        "time.time_ns = lambda: int(1e9 * time.time())\n"
    )
    paths = os.pathsep.join((str(hooks), str(Path.cwd())))
    machines = [
        start_apart(apart, code(folder), {"HOURS": hours, "PYTHONPATH": paths})
        for apart, hours in (((), "7"), (kinds, "-500"))
    ]
    moments = random.Random(3)
    while any(process.poll() is None for process in machines):
        # `walk` passes over folders that go meanwhile, and `rglob` does not.
        for parent, _, names in os.walk(folder / "jobs"):
            for path in (Path(parent), *(Path(parent, name) for name in names)):
                moment = time.time() + moments.uniform(-1e6, 1e6)
                with suppress(FileNotFoundError):
                    os.utime(path, (moment, moment))
        time.sleep(0.05)
    for process in machines:
        ended(process)
    made = runs_of(folder)
    assert len(made) == len(set(made)) == 16
    assert results(folder) == expected(12)


READ_ONLY = """
import subprocess
for command in (["mount", "--bind", {folder!r}, {folder!r}],
                ["mount", "-o", "remount,ro,bind", {folder!r}]):
    subprocess.run(command, check=True)
"""


@pytest.mark.skipif(not can_unshare(*MOUNTS), reason="nothing can be mounted here")
def test_a_folder_that_is_read_only_on_one_worker(tmp_path):
    """That worker's run ends with an error that names the folder; the other one makes all units."""
    job = Sums(str(tmp_path), numbers=3)
    run_job(job, tmp_path, LocalEngine(jobs=1, cores=1))
    (tmp_path / "squares/1.json").unlink()
    (tmp_path / "sums/0.json").unlink()
    mount = READ_ONLY.format(folder=str(tmp_path))
    process = start_apart(MOUNTS, mount + code(tmp_path, numbers=3))
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "WriteError" in said
    assert "Read-only file system" in said
    assert str(tmp_path) in said
    assert run_job(job, tmp_path, LocalEngine(jobs=1, cores=1)).is_complete
    assert results(tmp_path) == expected(3)


FULL = """
import subprocess
from pathlib import Path
from tests.jobs.sums import Sums, expected, results
from torchcross.errors import WriteError
from torchcross.jobs import JobFolder, LocalEngine, run_job

folder = Path({folder!r})
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], check=True)
job = Sums(str(folder), numbers=3)
(folder / "witnesses").mkdir()
JobFolder(folder).open(job.fingerprint())
try:
    with (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
except OSError:
    pass
try:
    result = run_job(job, folder, LocalEngine(jobs=1, cores=1))
    print("failures:", [failure.reason for failure in result.failures])
except WriteError as error:
    print("error:", error)
(folder / "filler").unlink()
assert run_job(job, folder, LocalEngine(jobs=1, cores=1)).is_complete
assert results(folder) == expected(3)
left = [path for room in ("claims", "attempts") for path in (folder / "jobs" / room).iterdir()]
assert left == [], left
print("complete")
"""


@pytest.mark.skipif(not can_unshare(*MOUNTS), reason="nothing can be mounted here")
def test_a_folder_that_is_full_and_has_room_again(tmp_path):
    process = start_apart(MOUNTS, FULL.format(folder=str(tmp_path)))
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "No space left on device" in said
    assert said.endswith("complete\n")


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

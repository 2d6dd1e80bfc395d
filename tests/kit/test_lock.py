"""One process for each folder."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from torchcross._kit.lock import acquire_lock, lock_folder
from torchcross.errors import InputError, SoftLockWarning, WriteError

ROOT = Path(__file__).parents[2]


def test_a_folder_is_made_held_and_let_go_of(tmp_path):
    folder = tmp_path / "a" / "run"
    with lock_folder(folder):
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"
        with (
            pytest.raises(InputError, match=rf"another process \(number {os.getpid()}\)"),
            lock_folder(folder),
        ):
            pass
    with lock_folder(folder):
        pass


def test_a_file_is_locked_until_it_is_released(tmp_path):
    lock = acquire_lock(tmp_path / "x.lock")
    assert acquire_lock(tmp_path / "x.lock") is None
    lock.release()
    again = acquire_lock(tmp_path / "x.lock")
    assert again is not None
    again.release()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WriteError, match=rf"{re.escape(str(tmp_path / 'file'))}.*give a folder"),
        lock_folder(tmp_path / "file"),
    ):
        pass


WITHOUT_LOCKS = """
import errno, fcntl, os, sys, time, warnings
from pathlib import Path

def flock(file, operation):
    raise OSError(errno.{name}, os.strerror(errno.{name}))

fcntl.flock = flock
warnings.simplefilter("ignore")
from torchcross._kit.lock import lock_folder
from torchcross.errors import InputError
try:
    with lock_folder(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except InputError as error:
    print(error, flush=True)
"""


def without_locks(folder, name="ENOLCK"):
    """A process that locks the folder, where the system has no locks, until its input ends."""
    pytest.importorskip("fcntl")
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_LOCKS.format(name=name), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    return process, process.stdout.readline().strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_without_locks_of_the_system_a_marker_keeps_others_out(tmp_path, name):
    first, said = without_locks(tmp_path, name)
    assert said == "held"
    second, said = without_locks(tmp_path, name)
    assert f"another process (number {first.pid} on " in said
    assert "if there is no such process, remove that file" in said
    with pytest.raises(InputError, match=f"number {first.pid} on "), lock_folder(tmp_path):
        pass
    first.communicate()
    second.communicate()
    assert not (tmp_path / "lock.held").exists()
    with lock_folder(tmp_path):
        pass


@pytest.mark.slow
def test_the_marker_of_a_dead_process_is_taken_over(tmp_path):
    first, said = without_locks(tmp_path)
    assert said == "held"
    first.kill()
    first.communicate()
    assert (tmp_path / "lock.held").exists()
    second, said = without_locks(tmp_path)
    assert said == "held"
    second.communicate()


def test_the_marker_of_another_machine_is_believed(tmp_path):
    (tmp_path / "lock.held").write_text("1\nelsewhere\n")
    with pytest.raises(InputError, match="number 1 on elsewhere"), lock_folder(tmp_path):
        pass


def test_the_reason_for_a_marker_is_said(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def flock(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.warns(SoftLockWarning, match=r"file system without locks \(No locks available\)"),
        lock_folder(tmp_path),
    ):
        assert (tmp_path / "lock.held").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no worker is forked here")
def test_a_worker_that_outlives_its_process_has_no_lock(tmp_path):
    """The first process locks, forks and dies; what it forked sleeps on."""
    program = (
        "import os, signal, sys, time; from pathlib import Path;"
        "from torchcross._kit.lock import acquire_lock;"
        "lock = acquire_lock(Path(sys.argv[1]));"
        "worker = os.fork();"
        "worker or (os.close(1), os.close(2), time.sleep(60), os._exit(0));"
        "print(worker, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.lock")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    worker = int(ended.stdout)
    try:
        lock = acquire_lock(tmp_path / "x.lock")
        os.kill(worker, 0)
        assert lock is not None
        lock.release()
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_lock_that_was_removed_is_noticed(tmp_path):
    with lock_folder(tmp_path) as lock:
        lock.check()
        (tmp_path / "lock").unlink()
        with pytest.raises(WriteError, match="was removed or replaced"):
            lock.check()
        (tmp_path / "lock").write_text("")
        with pytest.raises(WriteError, match="was removed or replaced"):
            lock.check()


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path):
    (tmp_path / "lock").write_text("the code of my door")
    with pytest.raises(InputError, match="is no lock"), lock_folder(tmp_path):
        pass
    assert (tmp_path / "lock").read_text() == "the code of my door"

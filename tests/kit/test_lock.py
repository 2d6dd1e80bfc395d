"""One process for each folder."""

import errno
import os
import re

import pytest

from torchcross._kit.lock import acquire_lock, lock_folder
from torchcross.errors import InputError, WriteError


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


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_file_system_without_locks_is_said_to_be_one(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(WriteError, match="does not support locks"), lock_folder(tmp_path):
        pass

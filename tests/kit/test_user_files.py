"""Only regular files are opened: a pipe would wait for ever."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medimeta_adapter.convert.npz import npz_members
from medimeta_adapter.convert.rows import Encoded
from medimeta_adapter.convert.table import read_table
from torchcross._kit.user_files import check_regular, read_user_file
from torchcross.backbones import conv4, load_weights
from torchcross.data import load_plans, toys
from torchcross.errors import TorchcrossError
from torchcross.experiment import read_experiment
from torchcross.records import read_means, read_records


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A pipe that nobody writes to; a reader that waits is ended."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with names")

    def give_up(*_: object) -> None:
        raise AssertionError("it waits for the pipe")

    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(5)
    yield path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_user_file(tmp_path / "link") == b"content"
    with pytest.raises(IsADirectoryError):
        check_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        check_regular(tmp_path / "nothing")
    with pytest.raises(OSError, match="null"):
        check_regular(f"{tmp_path}/\0")


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "records": (".csv", read_records),
    "means": (".csv", read_means),
    "experiment": (".toml", read_experiment),
    "weights": (".safetensors", lambda path: load_weights(conv4(channels=2), path)),
    "plans": (".npz", lambda path: load_plans(path, [toys.binary(size=8)])),
    "table": (".csv", lambda path: read_table(path, ",")),
    "npz": (".npz", npz_members),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_waits_for_a_pipe(pipe: Path, reader: str) -> None:
    ending, read = READERS[reader]
    path = pipe.rename(pipe.with_suffix(ending))
    with pytest.raises(TorchcrossError, match="pipe"):
        read(path)


def test_no_image_is_read_from_a_pipe(pipe: Path) -> None:
    for read in (Encoded(pipe).pixels, Encoded(pipe).digest):
        with pytest.raises(OSError, match="not a regular file"):
            read()

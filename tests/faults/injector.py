"""Faults at the n-th file operation of this process below one folder.

Operations are counted in Python, and HDF5 files are created under a limit of the file size, which
the kernel enforces. The kinds of faults:

    fail    the operation raises an error of the disk, once
    full    it raises "no space left", and so does every later one that needs space
    kill    the process gets SIGKILL before the operation
    tear    half of the bytes are written, then SIGKILL; for other operations: SIGKILL after it
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

# A full disk takes no new bytes and no new names; it lets go of old ones.
_TAKES_SPACE = frozenset({"create", "write", "mkdir", "sync", "hdf5"})
_HDF5_BYTES = 300


@dataclass
class Injector:
    """Counts operations below `root`; `number` is the one that goes wrong, None for none.

    `sources` is a folder that is only read, whose operations count too.
    """

    root: str
    number: int | None = None
    kind: str = "fail"
    sources: str | None = None
    operations: list[tuple[str, str]] = field(default_factory=list)
    is_full: bool = False
    _turn: Any = field(default_factory=threading.Lock)

    def concerns(self, path: Any) -> bool:
        try:
            return f"{Path(os.fsdecode(path)).absolute()}/".startswith(self._folders)
        except TypeError:
            return False

    @property
    def _folders(self) -> tuple[str, ...]:
        return (self.root,) if self.sources is None else (self.root, self.sources)

    def happens(self, operation: str, path: Any) -> str | None:
        """Count an operation; return "tear" where the caller is to do it by half and then die."""
        with self._turn:
            self.operations.append((operation, str(path).removeprefix(self.root)))
            is_the_one = len(self.operations) - 1 == self.number
        if self.is_full and operation in _TAKES_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if not is_the_one:
            return None
        if self.kind == "kill":
            die()
        if self.kind == "full":
            self.is_full = True
            if operation in _TAKES_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return None
        if self.kind == "fail":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return "tear"


def kinds_of(operation: str) -> tuple[str, ...]:
    """Return the faults that differ: to die after one operation is to die before the next."""
    if operation == "read":
        return ("fail",)
    if operation in ("write", "hdf5"):
        return ("fail", "full", "kill", "tear")
    return ("fail", "full", "kill") if operation in _TAKES_SPACE - {"sync"} else ("fail", "kill")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def install(injector: Injector) -> None:
    """Let every later file operation of this process pass through the injector."""
    _patch_open(injector)
    for name, operation in (
        ("mkdir", "mkdir"),
        ("rename", "rename"),
        ("replace", "rename"),
        ("unlink", "remove"),
        ("remove", "remove"),
        ("rmdir", "remove"),
        ("truncate", "write"),
    ):
        _patch(os, name, _of_path(injector, operation, getattr(os, name)))
    for name in ("scandir", "listdir"):
        _patch(os, name, _of_path(injector, "read", getattr(os, name)))
    for name in ("fsync", "fdatasync", "sync"):
        _patch(os, name, _sync(injector))
    _patch_hdf5(injector)


def _patch(owner: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Replace a function, also where a module has imported it by name."""
    plain = getattr(owner, name)
    setattr(owner, name, replacement)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(("torchcross", "medimeta_adapter")):
            for key, value in list(vars(module).items()):
                if value is plain:
                    setattr(module, key, replacement)


def _of_path(injector: Injector, operation: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    def patched(path: Any = ".", *more: Any, **options: Any) -> Any:
        if not injector.concerns(_with_folder(path, options.get("dir_fd"))):
            return plain(path, *more, **options)
        tears = injector.happens(operation, path)
        result = plain(path, *more, **options)
        if tears:
            die()
        return result

    return patched


def _with_folder(path: Any, descriptor: int | None) -> Any:
    """The path; removing a tree gives names relative to an open folder, which Linux can name."""
    link = Path(f"/proc/self/fd/{descriptor}")
    return path if descriptor is None or not link.exists() else link.readlink() / path


def _sync(injector: Injector) -> Callable[..., None]:
    """Syncing guards against a machine that stops, which nothing here can stage: it is counted."""

    def patched(*descriptor: int) -> None:
        if injector.happens("sync", *(descriptor or ("all",))):
            die()

    return patched


def _counting_file(injector: Injector) -> type[io.FileIO]:
    class File(io.FileIO):
        """A file whose writes are counted."""

        def write(self, data: Any, /) -> int:
            content = memoryview(data).cast("B")
            if injector.happens("write", self.name):
                super().write(content[: len(content) // 2])
                die()
            return super().write(content)

        def truncate(self, size: int | None = None, /) -> int:
            injector.happens("shorten", self.name)
            return super().truncate(size)

    return File


def _patch_open(injector: Injector) -> None:
    plain_open, plain_descriptor = io.open, os.open
    file_class = _counting_file(injector)

    def patched_open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if isinstance(file, int) or not injector.concerns(file):
            return plain_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not set(mode) & set("wax+"):
            injector.happens("read", file)
            return plain_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        tears = injector.happens("create", file)
        raw = file_class(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if tears:
            die()
        if buffering == 0:
            return raw
        wrap = io.BufferedRandom if "+" in mode else io.BufferedWriter
        buffered = wrap(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)

    def patched_descriptor(path: Any, flags: int, *more: Any, **options: Any) -> int:
        is_new = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if injector.concerns(path) and injector.happens("create" if is_new else "read", path):
            plain_descriptor(path, flags, *more, **options)
            die()
        return plain_descriptor(path, flags, *more, **options)

    io.open = builtins.open = patched_open
    os.open = patched_descriptor


def _patch_hdf5(injector: Injector) -> None:
    class File(h5py.File):  # type: ignore[misc]
        """Created with a disk that is full after the first bytes, or torn and then killed."""

        def __init__(self, name: Any, mode: str = "r", **options: Any) -> None:
            self._tears, self._limit = False, None
            if mode == "w" and injector.concerns(name):
                try:
                    self._tears = bool(injector.happens("hdf5", name))
                except OSError:
                    self._limit = resource.getrlimit(resource.RLIMIT_FSIZE)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (_HDF5_BYTES, self._limit[1]))
            self._place = Path(os.fsdecode(name))
            super().__init__(name, mode, **options)

        def __exit__(self, *error: Any) -> None:
            try:
                super().__exit__(*error)
            finally:
                if self._limit is not None:
                    resource.setrlimit(resource.RLIMIT_FSIZE, self._limit)
            if self._tears:
                os.truncate(self._place, self._place.stat().st_size // 2)
                die()

    h5py.File = File

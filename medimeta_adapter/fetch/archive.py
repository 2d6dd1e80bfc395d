"""Wheels and npm tarballs as data: members are listed and read, never extracted or imported."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from torchcross._kit.zip_files import DAMAGED_ZIP, UNREADABLE_MEMBER
from torchcross.errors import FetchError

_MOST_BYTES = 1 << 30
_MOST_MEMBERS = 100_000
_BLOCK = 1 << 20
_DAMAGE = (*UNREADABLE_MEMBER, tarfile.TarError, OSError)


@dataclass(frozen=True)
class _Limits:
    """What an archive may announce."""

    bytes: int
    members: int


class Archive(ABC):
    """The regular files of an archive by name. Opening it checks names and sizes."""

    def __init__(self, path: Path, sizes: Mapping[str, int]) -> None:
        self.path = path
        self.sizes = dict(sizes)

    @abstractmethod
    def _open(self, name: str) -> IO[bytes]: ...

    def read(self, name: str) -> bytes:
        """The content of one member."""
        return b"".join(self.blocks(name))

    def blocks(self, name: str) -> Iterator[bytes]:
        """The content of one member, piece by piece; never more than it announces."""
        if name not in self.sizes:
            raise FetchError(
                f"{self.path.name} holds no {name!r}; is it another version of the package?"
            )
        count = 0
        try:
            with self._open(name) as file:
                while block := file.read(_BLOCK):
                    count += len(block)
                    if count > self.sizes[name]:
                        break
                    yield block
        except _DAMAGE as error:
            raise FetchError(
                f"{name!r} in {self.path.name} cannot be read ({error}); fetch the package again"
            ) from error
        if count != self.sizes[name]:
            raise FetchError(
                f"{name!r} in {self.path.name} has {count} bytes and announces {self.sizes[name]}"
            )

    def under(self, prefix: str, *, ending: str = "") -> list[str]:
        """The members whose names have this start and this ending, sorted."""
        return sorted(
            name for name in self.sizes if name.startswith(prefix) and name.endswith(ending)
        )


class _Zip(Archive):
    def __init__(self, path: Path, file: zipfile.ZipFile, sizes: Mapping[str, int]) -> None:
        super().__init__(path, sizes)
        self._file = file

    def _open(self, name: str) -> IO[bytes]:
        return self._file.open(name)


class _Tar(Archive):
    def __init__(
        self, path: Path, file: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]
    ) -> None:
        super().__init__(path, {name: member.size for name, member in members.items()})
        self._file = file
        self._members = dict(members)

    def _open(self, name: str) -> IO[bytes]:
        member = self._file.extractfile(self._members[name])
        return io.BytesIO() if member is None else member


@contextmanager
def open_archive(
    path: Path, *, most_bytes: int = _MOST_BYTES, most_members: int = _MOST_MEMBERS
) -> Iterator[Archive]:
    """Open a .whl, .zip, .tar.gz or .tgz file.

    Raises `FetchError` if it holds links, devices, names that leave the folder, or too much data.
    """
    try:
        if path.name.endswith((".whl", ".zip")):
            with zipfile.ZipFile(path) as file:
                yield _Zip(path, file, _zip_sizes(path, file, _Limits(most_bytes, most_members)))
        elif path.name.endswith((".tgz", ".tar.gz")):
            with (
                _unpack_tar(path, most_bytes) as plain,
                tarfile.open(fileobj=plain, mode="r:") as tar,
            ):
                yield _Tar(path, tar, _tar_members(path, tar, _Limits(most_bytes, most_members)))
        else:
            raise FetchError(f"{path.name} is neither a wheel or zip nor a .tar.gz or .tgz")
    except (*DAMAGED_ZIP, tarfile.TarError, gzip.BadGzipFile) as error:
        raise FetchError(
            f"{path.name} is not a complete archive ({error}); fetch the package again"
        ) from error


@contextmanager
def _unpack_tar(path: Path, most_bytes: int) -> Iterator[IO[bytes]]:
    """The uncompressed tar in a nameless file: members can be read in any order, and a
    decompression bomb stops at the limit.
    """
    with tempfile.TemporaryFile(dir=path.parent) as plain, gzip.open(path) as packed:
        while block := packed.read(_BLOCK):
            plain.write(block)
            if plain.tell() > most_bytes:
                raise FetchError(
                    f"{path.name} unpacks to more than {most_bytes:,} bytes; it is not read"
                )
        plain.seek(0)
        yield plain


def _zip_sizes(path: Path, file: zipfile.ZipFile, limits: _Limits) -> dict[str, int]:
    seen = _MemberSizes(path, limits)
    for member in file.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise FetchError(
                f"{path.name} holds {member.filename!r}, a link or device; it is not read"
            )
        if member.flag_bits & 1:
            raise FetchError(
                f"{path.name} holds {member.filename!r}, which is encrypted; it is not read"
            )
        if not member.is_dir():
            seen.admit(member.filename, member.file_size)
    return seen.sizes


def _tar_members(path: Path, file: tarfile.TarFile, limits: _Limits) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    seen = _MemberSizes(path, limits)
    for member in file:
        if member.issparse() or not (member.isreg() or member.isdir()):
            raise FetchError(f"{path.name} holds {member.name!r}, a link or device; it is not read")
        if member.isreg():
            seen.admit(member.name, member.size)
            members[member.name] = member
    return members


class _MemberSizes:
    """The sizes of an archive's members, checked against the limits one by one."""

    def __init__(self, path: Path, limits: _Limits) -> None:
        self.sizes: dict[str, int] = {}
        self._path = path
        self._limits = limits
        self._total = 0

    def admit(self, name: str, size: int) -> None:
        parts = name.split("/")
        if (
            not name
            or name.startswith("/")
            or ".." in parts
            or "\\" in name
            or "\0" in name
            or ":" in parts[0]
        ):
            raise FetchError(
                f"{self._path.name} holds {name!r}, which would leave its folder; it is not read"
            )
        if name in self.sizes:
            raise FetchError(f"{self._path.name} holds {name!r} twice; it is not read")
        self.sizes[name] = size
        self._total += size
        most_bytes, most_members = self._limits.bytes, self._limits.members
        if size < 0 or self._total > most_bytes or len(self.sizes) > most_members:
            raise FetchError(
                f"{self._path.name} announces more than {most_bytes:,} bytes or"
                f" {most_members:,} files; it is not read"
            )

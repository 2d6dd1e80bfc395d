"""Folders with one flipped bit: which bits are flipped, and folders as values."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Files = Mapping[str, bytes]

_HEADER = 8 * 400


@dataclass(frozen=True)
class Flip:
    """One bit of the file `name`, of a folder in one of several states."""

    state: str
    name: str
    bit: int

    def of(self, content: bytes) -> bytes:
        flipped = bytearray(content)
        flipped[self.bit // 8] ^= 1 << self.bit % 8
        return bytes(flipped)


def flips(states: Mapping[str, Files], count: int, seed: int) -> Iterator[Flip]:
    """So many flips, of every file in turn; in every second round of its first bytes, the header.

    Empty files have no bits.
    """
    draws = random.Random(seed)
    places = [(state, name) for state, files in states.items() for name in files if files[name]]
    for number in range(count):
        state, name = places[number % len(places)]
        bits = 8 * len(states[state][name])
        if number // len(places) % 2:
            bits = min(bits, _HEADER)
        yield Flip(state, name, draws.randrange(bits))


def files_of(folder: Path) -> dict[str, bytes]:
    """Name -> content of every file but locks, and those of work under way and how long it took."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in ("lock", "environment.json")
        and path.relative_to(folder).parts[0] != "jobs"
    }


def restore(folder: Path, files: Files) -> None:
    """Make the folder hold these files and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

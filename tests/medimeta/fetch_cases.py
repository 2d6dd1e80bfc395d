"""Stand-ins for packages: archives of a few members, and a client that hands them out."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medimeta_adapter.fetch import Package


def wheel(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def zip_of_a_later_version(path: Path) -> Path:
    """The file changed in its place: its first member asks for version 9.9 of the format."""
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(content)
    return path


def tarball(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def image(number: int, *, side: int = 16, ending: str = "PNG", mode: str = "L") -> bytes:
    """A picture of its own for each number."""
    base = np.add.outer(np.arange(side), np.arange(side)) * 3
    array = (base + number) % 256
    picture = Image.fromarray(array.astype(np.uint8)).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, ending)
    return buffer.getvalue()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package(path: Path, client: Any = "pip") -> Package:
    """The package that this file is."""
    return Package(client, path.name.split("-")[0], "1.0", path.name, digest(path), 1)


class Shop:
    """A client: puts the file of the package that is asked for where it is wanted, and counts."""

    def __init__(self, *files: Path, status: int = 0, said: str = "done") -> None:
        self.files = files
        self.status, self.said = status, said
        self.asked: list[list[str]] = []

    def __call__(self, command: Sequence[str], timeout: float) -> tuple[int, str]:
        self.asked.append(list(command))
        assert timeout > 0
        folder = Path(
            command[command.index("--pack-destination" if "pack" in command else "-d") + 1]
        )
        name = (
            next(word for word in command if "==" in word or "@" in word)
            .replace("==", "@")
            .split("@")[0]
        )
        for file in self.files:
            if file.name.startswith(name):
                (folder / file.name).write_bytes(file.read_bytes())
        return self.status, self.said

"""The run of a tracking library that a training writes to, so that it is written to again."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import final

from torchcross._kit.whole_files import write_whole


@final
class RunId:
    """A run's id: in memory, and where there is a folder also in a file of it.

    The file belongs to a place (server, project, name of the run), so that many trainings can
    share a folder.
    """

    def __init__(self, folder: str | Path | None, library: str, *place: str | None) -> None:
        self._value: str | None = None
        self._path: Path | None = None
        if folder is not None:
            digest = hashlib.sha256(json.dumps(place).encode()).hexdigest()
            self._path = Path(folder) / f"{library}-{digest[:12]}.json"

    def get(self) -> str | None:
        """The id; None where no run is known, or the file cannot be used."""
        if self._value is None and self._path is not None:
            with suppress(OSError, ValueError, KeyError, TypeError):
                run = json.loads(self._path.read_bytes())["run"]
                self._value = run if isinstance(run, str) else None
        return self._value

    def set(self, value: str) -> None:
        if value == self.get():
            return
        self._value = value
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps({"run": value}) + "\n")

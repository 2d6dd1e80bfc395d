"""Scripts that tests write for another process."""

from __future__ import annotations

from pathlib import Path


def written_script(folder: Path, body: str) -> Path:
    path = folder / "script.py"
    path.write_text(body)
    return path

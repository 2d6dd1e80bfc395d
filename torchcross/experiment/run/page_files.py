"""The page and the tables of a run: files for other programs, whose hashes stand in page.json."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torchcross.experiment.run.json_files import read_json, write_json

PAGE = "report.html"
TABLES = ("table.md", "table.tex", "table.csv")
IMAGE_TABLES = (
    "by_class.csv",
    "confusion.csv",
    "calibration.csv",
    "reliability.csv",
    "calibration.md",
    "calibration.tex",
)
"""Tables of runs that stored predictions."""
HASHES = "page.json"

_ADVICE = "remove it; `torchcross report` writes it and the page again"


def write_page_hashes(folder: Path) -> None:
    """Write page.json, the last of the page's files: one of another writing has another hash."""
    names = (PAGE, *TABLES, *IMAGE_TABLES)
    hashes = {name: _hash_of(folder / name) for name in names if (folder / name).is_file()}
    write_json(folder / HASHES, {"files": hashes})


def changed_page_files(folder: Path) -> dict[str, bool]:
    """For each file in page.json, whether it is another one now, or gone."""
    hashes = read_json(folder / HASHES, hashed=True, advice=_ADVICE).get("files", {})
    return {
        name: not (folder / name).is_file() or _hash_of(folder / name) != digest
        for name, digest in hashes.items()
    }


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""The files of the published study in docs/examples, as `torchcross transfer report` takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchcross.transfer.published import write_published_page

FOLDER = Path(__file__).parents[2] / "docs" / "examples" / "cats_scans"
OPTIONS: dict[str, Any] = {
    "distances": [FOLDER / "distances.csv"],
    "scores": [FOLDER / "rates.csv"],
    "votes": FOLDER / "votes.csv",
    "notes": FOLDER / "notes.txt",
    "baseline": "self",
    "largest": "imagenet",
}


def write_cats_scans(out: Path) -> Path:
    return write_published_page(FOLDER / "results.csv", out, **OPTIONS)

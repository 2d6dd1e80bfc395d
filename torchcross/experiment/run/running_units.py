"""Which units are made now, and where, in a few lines: there may be hundreds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from torchcross._kit.counts import count_text
from torchcross.experiment.run.cells import Cell
from torchcross.experiment.run.stored_shots import shots_of_stored
from torchcross.experiment.run.time_left import kind_of_unit
from torchcross.jobs.claim_files import ClaimRecord
from torchcross.records.shots import shots_text

_VERBS: Final = {
    "train": "training",
    "score": "scoring",
    "part": "scoring a part of",
    "features": "making features:",
}
MOST_LINES: Final = 8
"""Lines of a list; the rest is counted."""


def running_text(claim: ClaimRecord, words: str = "") -> str:
    """What runs, in `words` or by its key, and where."""
    what = words or claim.key
    if claim.owner is None:
        return what
    return f"{what} (process {claim.owner.process} on {claim.owner.host})"


def unit_text(key: str, cells: Sequence[Cell]) -> str:
    """What a unit does, by its key and the cells that need it; "" where that is not known."""
    verb = _VERBS.get(kind_of_unit(key))
    if verb is None or not cells:
        return ""
    first = cells[0]
    shots = re.search(r"-(\d+)_shots", key)
    parts = [
        f"{verb} {first.algorithm} for {first.target}",
        *([shots_text(shots_of_stored(first.algorithm, int(shots[1])))] if shots else []),
        f"seed {first.seed}",
    ]
    others = len({cell.target for cell in cells}) - 1
    if others:
        parts.append(f"and {count_text(others, 'more targets')}")
    return ", ".join(parts)


def folded_lines(entries: Sequence[str], more: int = 0) -> Iterator[str]:
    """The first entries, and how many there are besides: `more` are not among them."""
    yield from (f"  {entry}" for entry in entries[:MOST_LINES])
    rest = len(entries[MOST_LINES:]) + more
    if rest:
        yield f"  and {rest} more"

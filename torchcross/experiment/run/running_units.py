"""Which units are made now, and where, in a few lines: there may be hundreds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from torchcross.jobs.claims import ClaimRecord

MOST_LINES: Final = 8
"""Lines of a list; the rest is counted."""


def running_text(claim: ClaimRecord) -> str:
    if claim.owner is None:
        return claim.key
    return f"{claim.key} (process {claim.owner.process} on {claim.owner.host})"


def folded_lines(entries: Sequence[str], more: int = 0) -> Iterator[str]:
    """The first entries, and how many there are besides: `more` are not among them."""
    yield from (f"  {entry}" for entry in entries[:MOST_LINES])
    rest = len(entries[MOST_LINES:]) + more
    if rest:
        yield f"  and {rest} more"

"""What the reason of a value says: that the algorithm failed, or that an average left classes out.

Reasons are texts for people. The few that statistics and reports read have their words here.
"""

from __future__ import annotations

from typing import Final

DIVERGED: Final = "diverged"
NOT_FINITE: Final = "are not finite"
SAME_RANK: Final = "all decisions and all labels of the query are rank"
MEAN_OF: Final = "mean of"
NO_SAMPLE_OF: Final = "the support has no sample of"


def is_failure(reason: str) -> bool:
    """Whether the value is undefined because an adaptation diverged or predicted no numbers."""
    return reason.startswith(DIVERGED) or NOT_FINITE in reason


def is_of_labels(reason: str) -> bool:
    """Whether labels made the value undefined although other decisions would have had one."""
    return reason.startswith(SAME_RANK)


def is_partial(reason: str) -> bool:
    """Whether the value is an average that left out classes or labels."""
    return reason.startswith(f"{MEAN_OF} ")


def has_missing_classes(reason: str) -> bool:
    """Whether the support of the episode had no sample of some class."""
    return NO_SAMPLE_OF in reason

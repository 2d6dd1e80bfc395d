"""How many natural supports of a run lack a class, as its files in `episodes/` count them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torchcross.experiment.rows.target_episodes import LACKING
from torchcross.experiment.run.folder import RunFolder


@dataclass(frozen=True)
class LackingSupports:
    """How many of some supports lack a class; `lacking` is None where a run does not say."""

    lacking: int | None
    supports: int

    def __str__(self) -> str:
        if self.lacking is None:
            return f"? of {self.supports}"
        return f"{self.lacking} of {self.supports}"


def lacking_supports(run: RunFolder) -> dict[tuple[str, int], LackingSupports]:
    """By target and number of shots; empty for a run with balanced supports."""
    if run.experiment["evaluation"].get("support", "balanced") != "natural":
        return {}
    counts = {}
    for each in run.scored_episodes():
        # All rows have the same episodes. At 0 shots there is no support.
        if each["shots"] and not run.is_supervised(each["algorithm"]):
            unknown = "missing classes" in each and LACKING not in each
            lacking = None if unknown else int(each.get(LACKING, 0))
            counts[each["target"], each["shots"]] = LackingSupports(lacking, each["episodes"])
    return counts


def sum_of_lacking(
    counts: Mapping[tuple[str, int], LackingSupports], shots: int, targets: Collection[str] = ()
) -> LackingSupports:
    """Of these targets, or of all, at one number of shots."""
    chosen = [
        each
        for (target, number), each in counts.items()
        if number == shots and (not targets or target in targets)
    ]
    numbers = [each.lacking for each in chosen]
    known = [number for number in numbers if number is not None]
    total = sum(known) if len(known) == len(numbers) else None
    return LackingSupports(total, sum(each.supports for each in chosen))


def lacking_in_words(run: RunFolder) -> str:
    """For the choices of a page; "" for a run with balanced supports, or without any."""
    counts = lacking_supports(run)
    if not counts:
        return ""
    parts = [
        f"{sum_of_lacking(counts, shots)} at {shots} shot{'' if shots == 1 else 's'}"
        for shots in sorted({number for _, number in counts})
    ]
    return (
        f"as they come: supports that lack a class are {', '.join(parts)} (over the targets). A"
        " zero-shot row reads no support."
    )

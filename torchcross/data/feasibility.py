"""What counting proves before the first episode, said in words a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchcross.data.request import MetaDatasetShots, Request, ways_within
from torchcross.errors import InfeasibleError
from torchcross.targets import Target

__all__ = ["Eligible", "Supply", "eligible_classes"]


@dataclass(frozen=True)
class Supply:
    """What a source can give, per class.

    `samples` counts what limits it (for a yes/no label the rarer answer), `largest_subject` the most of these that one
    subject owns (0 where subjects are not respected).
    """

    samples: NDArray[np.int64]
    largest_subject: NDArray[np.int64]
    unit: str


@dataclass(frozen=True)
class Eligible:
    """Classes an episode may use, how many of them at a time, and what the class filter left out."""

    classes: tuple[int, ...]
    ways: tuple[int, int]
    dropped: tuple[int, ...]


def needed_per_class(request: Request) -> int:
    """Samples that a class must have for the largest episode asked for."""
    if isinstance(request.shots, MetaDatasetShots):
        return 2
    _, shots = request.shot_range
    return shots + (request.queries if request.query == "balanced" else 0)


def eligible_classes(request: Request, supply: Supply, target: Target, source: str) -> Eligible:
    """The classes that stay, or an InfeasibleError naming source, classes, what is there, needed and possible."""
    needed = needed_per_class(request)
    smaller_side = 1 if isinstance(request.shots, MetaDatasetShots) else min(request.shot_range[1], request.queries)
    spread = supply.samples - supply.largest_subject
    short = supply.samples < needed
    lumped = ~short & (supply.largest_subject > 0) & (spread < (smaller_side if request.query == "balanced" else 0))
    threshold = needed if request.min_samples == "enough" else (request.min_samples or 0)
    drop = supply.samples < threshold
    if request.min_samples == "enough":
        drop |= lumped
    kept = tuple(np.flatnonzero(~drop).tolist())
    bad = [c for c in kept if short[c] or lumped[c]]
    if bad:
        raise InfeasibleError(_shortage(request, supply, target, source, bad, kept, needed))
    ways = ways_within(request.ways, target.ways[0], len(kept))
    if ways is None:
        raise InfeasibleError(_ways_text(request, supply, target, source, kept))
    _check_natural(request, supply, source, kept, ways)
    return Eligible(kept, ways, tuple(np.flatnonzero(drop).tolist()))


def _shortage(
    request: Request,
    supply: Supply,
    target: Target,
    source: str,
    bad: Sequence[int],
    kept: Sequence[int],
    needed: int,
) -> str:
    lines = [f"source {source!r} cannot give {_asked(request)}:"]
    for c in bad[:10]:
        have = int(supply.samples[c])
        if have < needed:
            lines.append(
                f"  class {target.classes[c]!r} has {have} {supply.unit}, {needed} are needed ({_split(request)})"
            )
        else:
            lines.append(
                f"  class {target.classes[c]!r} has {have} {supply.unit}, {int(supply.largest_subject[c])} of them from "
                "one subject, and no subject may stand in both support and query: too few for the other side"
            )
    if len(bad) > 10:
        lines.append(f"  and {len(bad) - 10} more classes")
    return "\n".join([*lines, *_possible(request, supply, target, bad, kept)])


def _possible(request: Request, supply: Supply, target: Target, bad: Sequence[int], kept: Sequence[int]) -> list[str]:
    """One line with what would work instead, or none."""
    rarest = int((supply.samples - supply.largest_subject)[list(bad)].min())
    ways_out = _smaller_episodes(request, rarest)
    left = len(kept) - len(bad)
    if left >= target.ways[0] and target.ways[0] < target.ways[1]:
        names = ", ".join(repr(target.classes[c]) for c in bad[:10])
        ways_out.append(
            f"min_samples='enough', which leaves out {names} and keeps {left} of {target.num_classes} classes"
        )
    return ["Possible: " + "; or ".join(ways_out)] if ways_out else []


def _smaller_episodes(request: Request, rarest: int) -> list[str]:
    """Requests that a class of `rarest` samples can serve."""
    if isinstance(request.shots, MetaDatasetShots) or rarest < 2:
        return []
    shots, queries = request.shot_range[1], request.queries
    if request.query == "natural":
        return [f"at most {rarest} shots"]
    found = []
    if rarest > shots:
        found.append(f"at most {rarest - shots} queries with {shots} shots")
    if rarest > queries:
        found.append(f"at most {rarest - queries} shots with {queries} queries")
    return found or [f"at most {rarest} samples per class in all, e.g. shots=1 with queries={rarest - 1}"]


def _ways_text(request: Request, supply: Supply, target: Target, source: str, kept: Sequence[int]) -> str:
    fewest, most = target.ways[0], len(kept)
    filtered = (
        f" (min_samples={request.min_samples!r} leaves {most} of {target.num_classes})"
        if most < target.num_classes
        else ""
    )
    asked = "all classes" if request.ways is None else f"ways={request.ways!r}"
    possible = (
        f"Possible: {fewest} to {most} ways"
        if fewest <= most
        else "Possible: a lower min_samples, fewer shots or fewer queries"
    )
    counts = ", ".join(f"{target.classes[c]!r}: {int(supply.samples[c])}" for c in range(min(target.num_classes, 10)))
    return (
        f"source {source!r} cannot give episodes with {asked}: a {target.kind} episode needs at least {fewest} "
        f"classes, and {most} can be used{filtered}; {supply.unit} per class: {counts}. {possible}"
    )


def _check_natural(request: Request, supply: Supply, source: str, kept: Sequence[int], ways: tuple[int, int]) -> None:
    """A natural query draws from what the support leaves; the smallest classes are the worst case."""
    if request.query != "natural" or supply.unit != _SAMPLES:
        return
    low, high = ways
    _, shots = request.shot_range
    sizes = np.sort(supply.samples[list(kept)])
    for count in range(low, high + 1):
        have, need = int(sizes[:count].sum()), count * (shots + request.queries)
        if have < need:
            raise InfeasibleError(
                f"source {source!r} cannot give {_asked(request)} with a natural query: its {count} smallest classes "
                f"have {have} samples together, {need} are needed ({_split(request)} per class). Possible: at most "
                f"{max(have // count - shots, 0)} queries per class"
            )


_SAMPLES = "samples"


def _asked(request: Request) -> str:
    if isinstance(request.shots, MetaDatasetShots):
        return "episodes with Meta-Dataset shots"
    low, high = request.shot_range
    shots = f"{high}-shot" if low == high else f"{low}- to {high}-shot"
    return f"{shots} episodes with {request.queries} queries per class"


def _split(request: Request) -> str:
    if isinstance(request.shots, MetaDatasetShots):
        return "1 support + 1 query"
    support = f"{request.shot_range[1]} support"
    return f"{support} + {request.queries} query" if request.query == "balanced" else support

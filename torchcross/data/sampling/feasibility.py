"""Whether a source can give the episodes, by counting, and what is possible instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from torchcross.data.sampling.request import MetaDatasetShots, Request, Ways, ways_within
from torchcross.data.sampling.supply import Stratum, Supply
from torchcross.errors import InfeasibleError
from torchcross.targets import Target

_SHOWN = 10


@dataclass(frozen=True)
class Eligible:
    """Classes an episode may use, how many at a time, and those that `min_samples` left out."""

    classes: tuple[int, ...]
    ways: tuple[int, int]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class _Refusal:
    """Why nothing can be drawn."""

    lines: tuple[str, ...]


def needed_per_class(request: Request) -> int:
    """Samples that a class must have for the largest episode asked for."""
    return sum(_needed_samples(request))


def used_per_class(request: Request) -> int:
    """Samples of each of its classes that every episode takes, at least."""
    if request.support == request.query == "natural":
        return 0
    return needed_per_class(request)


def _needed_samples(request: Request) -> tuple[int, int]:
    """The support and query samples that every stratum must have."""
    if isinstance(request.shots, MetaDatasetShots):
        return 1, 1
    queries = request.queries if request.query == "balanced" else 0
    if request.support == "natural":
        # It may have none of a class; a class without any sample is none.
        return (0, queries) if queries else (1, 0)
    return request.shot_range[1], queries


def eligible_classes(request: Request, supply: Supply, target: Target, source: str) -> Eligible:
    """The classes an episode may use, or an InfeasibleError that says what is possible instead."""
    verdict = _judge(request, supply, target)
    if isinstance(verdict, Eligible):
        return verdict
    possible = "; or ".join(_alternatives(request, supply, target))
    if not possible:
        possible = "nothing of this kind; the source has too few samples, or too few subjects"
    header = f"source {source!r} cannot give {_in_words(request)}:"
    raise InfeasibleError("\n".join([header, *verdict.lines, f"Possible: {possible}"]))


def _judge(request: Request, supply: Supply, target: Target) -> Eligible | _Refusal:
    """What an episode may use, or why there can be none, as far as counting proves it."""
    support, query = _needed_samples(request)
    only_enough = request.min_samples == "enough"
    least = support + query if request.min_samples == "enough" else request.min_samples or 0
    usable, dropped, lacking = [], [], []
    for c, strata in enumerate(supply.classes):
        serves = all(stratum.serves(support, query) for stratum in strata)
        large = min(stratum.samples for stratum in strata) >= least
        if not large or (only_enough and not serves):
            dropped.append(c)
            continue
        usable.append(c)
        if not serves:
            lacking.append(c)
    if lacking:
        return _Refusal(tuple(_shortages(supply, target, lacking, support, query)))
    ways = ways_within(request.ways, target.ways[0], len(usable))
    if ways is None:
        return _Refusal(_too_few_classes(request, supply, target, usable))
    is_natural = "natural" in (request.support, request.query)
    if is_natural and (line := _natural_shortage(request, supply, usable, ways)):
        return _Refusal((line,))
    return Eligible(tuple(usable), ways, tuple(dropped))


# -- what is there and what is needed --------------------------------------------------------------


def _shortages(
    supply: Supply, target: Target, lacking: Sequence[int], support: int, query: int
) -> Iterator[str]:
    sides = [(support, "support"), (query, "query")]
    split = " + ".join(f"{count} {side}" for count, side in sides if count)
    for c in lacking[:_SHOWN]:
        stratum = next(each for each in supply.classes[c] if not each.serves(support, query))
        have = f"  class {target.classes[c]!r} has {stratum.samples} {stratum.unit}"
        if stratum.samples < support + query:
            yield f"{have}, {support + query} are needed ({split})"
        else:
            yield (
                f"{have}, {_from(stratum)}; they cannot be divided into {split} without a subject"
                " on both sides"
            )
    if len(lacking) > _SHOWN:
        yield f"  and {len(lacking) - _SHOWN} more classes"


def _from(stratum: Stratum) -> str:
    counts = [] if stratum.subjects is None else np.sort(stratum.subjects)[::-1].tolist()
    if len(counts) == 1:
        return "all from one subject"
    more = ", ..." if len(counts) > 5 else ""
    return f"from {len(counts)} subjects that own {', '.join(map(str, counts[:5]))}{more}"


def _too_few_classes(
    request: Request, supply: Supply, target: Target, usable: Sequence[int]
) -> tuple[str, ...]:
    ways = "all classes (ways=None)" if request.ways is None else f"ways={request.ways!r}"
    lines = [f"  {ways} cannot be had: {_failed_bound(request.ways, target, len(usable))}"]
    if len(usable) < target.num_classes:
        rarest = [min(strata, key=lambda stratum: stratum.samples) for strata in supply.classes]
        counts = ", ".join(
            f"{target.classes[c]!r}: {rarest[c].samples}"
            for c in range(target.num_classes)[:_SHOWN]
        )
        more = ", ..." if target.num_classes > _SHOWN else ""
        lines.append(
            f"  min_samples={request.min_samples!r} leaves out the others; there are {counts}{more}"
        )
    return tuple(lines)


def _failed_bound(ways: Ways, target: Target, usable: int) -> str:
    """Which end of a pair, or else which need of the target, rules out every number of ways."""
    low, high = ways if isinstance(ways, tuple) else (0, None)
    if low > usable:
        return (
            f"the lower end asks for at least {low} ways, and the source has {usable} that can be"
            " used"
        )
    if high is not None and high < target.ways[0]:
        return (
            f"the upper end allows at most {high}, and a {target.kind} episode has at least"
            f" {target.ways[0]}"
        )
    return f"a {target.kind} episode has at least {target.ways[0]}, and {usable} can be used"


def _natural_shortage(
    request: Request, supply: Supply, usable: Sequence[int], ways: tuple[int, int]
) -> str | None:
    """Why a natural support or query cannot be had: a query draws from what the support leaves.

    The smallest classes are the worst case.
    """
    shots, everything = request.shot_range[1], supply.everything
    known = {c: sum(stratum.samples for stratum in supply.classes[c]) for c in usable}
    smallest = sorted(usable, key=known.__getitem__)
    for count in range(ways[0], ways[1] + 1):
        support, query = count * shots, count * request.queries
        if not supply.exclusive:
            # One sample may serve many labels: a balanced side is twice its number, at least.
            support = support if request.support == "natural" else 2 * shots
            query = query if request.query == "natural" else 2 * request.queries
        # Classes together have as many samples as the largest of them, at least.
        if known[smallest[count - 1]] >= support + query:
            continue
        have = supply.together(smallest[:count])
        if have < support + query:
            if supply.exclusive:
                there = f"the {count} smallest classes together have {have} samples"
            elif have == everything.samples:
                there = f"there are {have} samples"
            else:
                there = f"there are {have} samples with a known answer to one of {count} labels"
            return f"  {there}, {support + query} are needed ({support} support + {query} query)"
    if not everything.serves(support, query):
        divided = (
            f"they cannot be divided into {support} support + {query} query without a subject on"
            " both sides"
        )
        return f"  the {everything.samples} {everything.unit} are {_from(everything)}; {divided}"
    return None


# -- what is possible instead ----------------------------------------------------------------------


def _alternatives(request: Request, supply: Supply, target: Target) -> Iterator[str]:
    """Requests that counting does not refuse, in words.

    They have other ways only where the requested ways are what fails.
    """
    any_ways = replace(request, ways=(target.ways[0], None))
    texts = [*_smaller(request, supply, target), *_fewer_classes(request, supply, target)]
    if not texts and isinstance(eligible := _judge(any_ways, supply, target), Eligible):
        low, high = eligible.ways
        texts = [f"ways={low}" if low == high else f"ways from {low} to {high}"]
    if not texts:
        smaller = (*_smaller(any_ways, supply, target), *_fewer_classes(any_ways, supply, target))
        texts = [f"{text}, with ways={any_ways.ways}" for text in smaller]
    yield from texts
    mixed = _without_subjects(supply)
    if isinstance(_judge(request, mixed, target), Eligible):
        yield "groups='ignore', which lets a subject stand on both sides"
    elif not texts:
        yield from (f"{text}, with groups='ignore'" for text in _smaller(request, mixed, target))


def _without_subjects(supply: Supply) -> Supply:
    classes = [
        tuple(replace(stratum, subjects=None) for stratum in strata) for strata in supply.classes
    ]
    return replace(supply, classes=classes, everything=replace(supply.everything, subjects=None))


def _smaller(request: Request, supply: Supply, target: Target) -> Iterator[str]:
    """Fewer queries or fewer shots; else the fewest shots with as many queries as there can be."""
    if isinstance(request.shots, MetaDatasetShots):
        return
    low, shots = request.shot_range
    queries = request.queries
    at_most = _most(queries - 1, lambda fewer: replace(request, queries=fewer), supply, target)
    if at_most:
        yield f"at most {at_most} queries with {shots} shots"
    fewer_shots = _most(
        shots - 1, lambda fewer: replace(request, shots=(min(low, fewer), fewer)), supply, target
    )
    if fewer_shots:
        yield f"at most {fewer_shots} shots with {queries} queries"
    if not at_most and not fewer_shots and shots > 1:
        one_shot = replace(request, shots=1)
        at_most = _most(queries - 1, lambda fewer: replace(one_shot, queries=fewer), supply, target)
        if at_most:
            yield f"at most {at_most} queries with shots=1"


def _most(
    upper: int, request_with: Callable[[int], Request], supply: Supply, target: Target
) -> int:
    """The largest number up to `upper` that is not refused; 0 where all are."""
    low = 0
    while low < upper:
        middle = (low + upper + 1) // 2
        if isinstance(_judge(request_with(middle), supply, target), Eligible):
            low = middle
        else:
            upper = middle - 1
    return low


def _fewer_classes(request: Request, supply: Supply, target: Target) -> Iterator[str]:
    """A filter that leaves out what is too small: for the request, or for a balanced query."""
    thresholds: tuple[int | Literal["enough"], ...] = (
        "enough",
        request.shot_range[1] + request.queries,
    )
    for least in thresholds:
        verdict = _judge(replace(request, min_samples=least), supply, target)
        if isinstance(verdict, Eligible):
            names = ", ".join(repr(target.classes[c]) for c in verdict.dropped[:_SHOWN])
            more = ", ..." if len(verdict.dropped) > _SHOWN else ""
            rest = f"keeps {len(verdict.classes)} of {target.num_classes} classes"
            yield f"min_samples={least!r}, which leaves out {names or 'nothing'}{more} and {rest}"
            return


def _in_words(request: Request) -> str:
    if isinstance(request.shots, MetaDatasetShots):
        return "episodes with Meta-Dataset shots"
    low, high = request.shot_range
    shots = f"{high}-shot" if low == high else f"{low}- to {high}-shot"
    sides = [f"{request.queries} queries per class"]
    if request.query == "natural":
        sides[0] += ", drawn as they come"
    if request.support == "natural":
        sides.append("a support drawn as it comes")
    return f"{shots} episodes with {' and '.join(sides)}"

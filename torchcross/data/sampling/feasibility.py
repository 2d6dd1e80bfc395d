"""What counting proves before the first episode, said in words a person can act on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from torchcross._kit.arrays import Indices
from torchcross.data.sampling.request import MetaDatasetShots, Request, Ways, ways_within
from torchcross.data.sampling.subject_division import can_divide
from torchcross.errors import InfeasibleError
from torchcross.targets import Target

__all__ = ["Eligible", "Stratum", "Supply", "eligible_classes", "needed_per_class"]

_SHOWN = 10


@dataclass(frozen=True)
class Stratum:
    """Samples that support and query both need some of. `subjects`: how many each subject owns,
    where that matters.
    """

    unit: str
    samples: int
    subjects: Indices | None

    def serves(self, support: int, query: int) -> bool:
        return self.samples >= support + query and (
            self.subjects is None or query == 0 or can_divide(self.subjects, support, query)
        )


@dataclass(frozen=True)
class Supply:
    """What a source can give: the strata of every class (for a yes/no label both answers), all
    labelled samples, and how many samples some classes have together (for labels: samples with a
    known answer to one of them).

    Exclusive classes need support samples of their own; otherwise one sample may serve every class.
    """

    classes: Sequence[tuple[Stratum, ...]]
    everything: Stratum
    together: Callable[[Sequence[int]], int]
    exclusive: bool


@dataclass(frozen=True)
class Eligible:
    """Classes an episode may use, how many of them at a time, and what the class filter left
    out.
    """

    classes: tuple[int, ...]
    ways: tuple[int, int]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class _Refusal:
    """Why nothing can be drawn."""

    lines: tuple[str, ...]


def needed_per_class(request: Request) -> int:
    """Samples that a class must have for the largest episode asked for."""
    return sum(_needed(request))


def _needed(request: Request) -> tuple[int, int]:
    """The support and query samples that every stratum must have."""
    if isinstance(request.shots, MetaDatasetShots):
        return 1, 1
    return request.shot_range[1], request.queries if request.query == "balanced" else 0


def eligible_classes(request: Request, supply: Supply, target: Target, source: str) -> Eligible:
    """The classes that stay, or an InfeasibleError naming source, classes, what is there, needed
    and possible.
    """
    found = _judge(request, supply, target)
    if isinstance(found, Eligible):
        return found
    ways_out = list(_ways_out(request, supply, target))
    possible = (
        "; or ".join(ways_out)
        or "nothing of this kind; the source has too few samples, or too few subjects"
    )
    header = f"source {source!r} cannot give {_asked(request)}:"
    raise InfeasibleError("\n".join([header, *found.lines, f"Possible: {possible}"]))


def _judge(request: Request, supply: Supply, target: Target) -> Eligible | _Refusal:
    """What an episode may use, or why there can be none. Only what counting proves."""
    support, query = _needed(request)
    threshold = support + query if request.min_samples == "enough" else (request.min_samples or 0)
    kept, blamed = [], []
    for c, strata in enumerate(supply.classes):
        serves = all(stratum.serves(support, query) for stratum in strata)
        stays = min(stratum.samples for stratum in strata) >= threshold
        if stays and (serves or request.min_samples != "enough"):
            kept.append(c)
            blamed += [] if serves else [c]
    if blamed:
        return _Refusal(tuple(_shortages(supply, target, blamed, support, query)))
    ways = ways_within(request.ways, target.ways[0], len(kept))
    if ways is None:
        return _Refusal(_too_few_classes(request, supply, target, kept))
    if request.query == "natural" and (line := _natural_shortage(request, supply, kept, ways)):
        return _Refusal((line,))
    return Eligible(
        tuple(kept), ways, tuple(c for c in range(len(supply.classes)) if c not in set(kept))
    )


# -- what is there and what is needed --------------------------------------------------------------


def _shortages(
    supply: Supply, target: Target, blamed: Sequence[int], support: int, query: int
) -> Iterator[str]:
    split = f"{support} support + {query} query" if query else f"{support} support"
    for c in blamed[:_SHOWN]:
        stratum = next(
            stratum for stratum in supply.classes[c] if not stratum.serves(support, query)
        )
        have = f"  class {target.classes[c]!r} has {stratum.samples} {stratum.unit}"
        if stratum.samples < support + query:
            yield f"{have}, {support + query} are needed ({split})"
        else:
            yield (
                f"{have}, {_from(stratum)}; they cannot be divided into {split} without a subject"
                " on both sides"
            )
    if len(blamed) > _SHOWN:
        yield f"  and {len(blamed) - _SHOWN} more classes"


def _from(stratum: Stratum) -> str:
    owned = [] if stratum.subjects is None else np.sort(stratum.subjects)[::-1].tolist()
    if len(owned) == 1:
        return "all from one subject"
    shown = ", ".join(map(str, owned[:5])) + (", ..." if len(owned) > 5 else "")
    return f"from {len(owned)} subjects that own {shown}"


def _too_few_classes(
    request: Request, supply: Supply, target: Target, kept: Sequence[int]
) -> tuple[str, ...]:
    asked = "all classes (ways=None)" if request.ways is None else f"ways={request.ways!r}"
    lines = [f"  {asked} cannot be had: {_failed_bound(request.ways, target, len(kept))}"]
    if len(kept) < target.num_classes:
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
    request: Request, supply: Supply, kept: Sequence[int], ways: tuple[int, int]
) -> str | None:
    """A natural query draws from what the support leaves; the smallest classes are the worst
    case.
    """
    shots, everything = request.shot_range[1], supply.everything
    known = {c: sum(stratum.samples for stratum in supply.classes[c]) for c in kept}
    smallest = sorted(kept, key=known.__getitem__)
    for count in range(ways[0], ways[1] + 1):
        support, query = count * shots if supply.exclusive else 2 * shots, count * request.queries
        # Classes together have as many samples as the largest of them, at least.
        if known[smallest[count - 1]] >= support + query:
            continue
        have = supply.together(smallest[:count])
        if have < support + query:
            where = f"the {count} smallest classes together have {have} samples"
            if not supply.exclusive:
                scope = (
                    ""
                    if have == everything.samples
                    else f" with a known answer to one of {count} labels"
                )
                where = f"there are {have} samples{scope}"
            return f"  {where}, {support + query} are needed ({support} support + {query} query)"
    if not everything.serves(support, query):
        divided = (
            f"they cannot be divided into {support} support + {query} query without a subject on"
            " both sides"
        )
        return f"  the {everything.samples} {everything.unit} are {_from(everything)}; {divided}"
    return None


# -- what is possible instead ----------------------------------------------------------------------


def _ways_out(request: Request, supply: Supply, target: Target) -> Iterator[str]:
    """Requests that counting does not refuse, in words; with other ways only where those asked for
    are in the way.
    """
    any_ways = replace(request, ways=(target.ways[0], None))
    found = [*_smaller(request, supply, target), *_fewer_classes(request, supply, target)]
    if not found and isinstance(eligible := _judge(any_ways, supply, target), Eligible):
        low, high = eligible.ways
        found = [f"ways={low}" if low == high else f"ways from {low} to {high}"]
    if not found:
        smaller = (*_smaller(any_ways, supply, target), *_fewer_classes(any_ways, supply, target))
        found = [f"{text}, with ways={any_ways.ways}" for text in smaller]
    yield from found
    mixed = _without_subjects(supply)
    if isinstance(_judge(request, mixed, target), Eligible):
        yield "groups='ignore', which lets a subject stand on both sides"
    elif not found:
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


def _most(upper: int, asked: Callable[[int], Request], supply: Supply, target: Target) -> int:
    """The largest number up to `upper` that is not refused; 0 where all are."""
    low = 0
    while low < upper:
        middle = (low + upper + 1) // 2
        fine = isinstance(_judge(asked(middle), supply, target), Eligible)
        low, upper = (middle, upper) if fine else (low, middle - 1)
    return low


def _fewer_classes(request: Request, supply: Supply, target: Target) -> Iterator[str]:
    """A filter that leaves out what is too small: for the request, or for a balanced query."""
    thresholds: tuple[int | Literal["enough"], ...] = (
        "enough",
        request.shot_range[1] + request.queries,
    )
    for least in thresholds:
        found = _judge(replace(request, min_samples=least), supply, target)
        if isinstance(found, Eligible):
            names = ", ".join(repr(target.classes[c]) for c in found.dropped[:_SHOWN])
            more = ", ..." if len(found.dropped) > _SHOWN else ""
            left = f"keeps {len(found.classes)} of {target.num_classes} classes"
            yield f"min_samples={least!r}, which leaves out {names or 'nothing'}{more} and {left}"
            return


def _asked(request: Request) -> str:
    if isinstance(request.shots, MetaDatasetShots):
        return "episodes with Meta-Dataset shots"
    low, high = request.shot_range
    shots = f"{high}-shot" if low == high else f"{low}- to {high}-shot"
    natural = ", drawn as they come" if request.query == "natural" else ""
    return f"{shots} episodes with {request.queries} queries per class{natural}"

"""`check_sampler`: every contract of sampling, for any object that gives plans by number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, Literal, Protocol, TypedDict, Unpack

import numpy as np

from torchcross.data import MetaDatasetShots, Request
from torchcross.errors import InputError
from torchcross.testing.plan_contracts import PlanCase, usable_classes, violations
from torchcross.testing.surroundings import foreign_generators, generators_left_alone, pickle_now

_COMPARED = (
    "index",
    "source",
    "classes",
    "shots",
    "support",
    "support_labels",
    "query",
    "query_labels",
)
_DEFAULTS = {"query": "balanced", "groups": "respect", "minimal": False, "min_samples": None}


class RequestOptions(TypedDict, total=False):
    """The request of a sampler without a `request` of its own; see `EpisodeSampler`."""

    ways: int | tuple[int, int | None] | None
    shots: int | tuple[int, int] | MetaDatasetShots
    queries: int
    query: Literal["balanced", "natural"]
    groups: Literal["respect", "ignore"]
    minimal: bool
    min_samples: int | Literal["enough"] | None


class AnySampler(Protocol):
    """Plans by number, and the sources that they name.

    `batch`, `request`, `dropped_classes` and a length are optional.
    """

    def __getitem__(self, index: int, /) -> Any: ...
    def source(self, name: str, /) -> Any: ...


def check_sampler(
    sampler: AnySampler,
    episodes: int = 20,
    *,
    start: int = 0,
    disjoint: bool = False,
    remake: Callable[[], AnySampler] | None = None,
    **options: Unpack[RequestOptions],
) -> None:
    """Raise AssertionError, naming episode and contract, unless a sampler keeps all contracts.

    Checked for `episodes` episodes from `start` on:

    - the plan is what the request says: ways, shots and queries per class, no repeats, labels that
      agree with the source, support and query disjoint by sample and by subject, multi-label
      supports minimal (with `minimal=True`), every sample of a natural multi-label query with a
      known answer, arrays read-only;
    - it is a pure function of its number: the same again, in any order, from a pickled copy made
      before or after drawing, from a fresh sampler (`remake()`, where given), in a batch, and under
      other states of the global generators;
    - the global generators of torch, numpy and Python do not move.

    The request comes from `sampler.request`, or from keywords: ways, shots and queries, and where
    they are not the default query, groups, minimal, min_samples. With `disjoint=True` the episodes
    of a finite sampler must share no sample.
    """
    request = _request_of(sampler, options)
    numbers = _numbers(sampler, start, episodes)
    untouched = pickle_now(sampler, "the sampler")
    with generators_left_alone("sampling"):
        plans = [sampler[number] for number in numbers]
        _check_plans(sampler, request, numbers, plans)
        _check_purity(sampler, numbers, plans, untouched(), remake)
        _check_batches(sampler, numbers, plans)
        _check_end(sampler)
        if disjoint:
            _check_disjoint(sampler)


def _request_of(sampler: AnySampler, options: RequestOptions) -> Request:
    names = [field.name for field in fields(Request)]
    if unknown := sorted(set(options) - set(names)):
        raise InputError(f"check_sampler got {unknown}; the parts of a request are {names}")
    request = getattr(sampler, "request", None)
    own = {name: getattr(request, name) for name in names if hasattr(request, name)}
    merged: dict[str, Any] = {**_DEFAULTS, **own, **options}
    if missing := [name for name in names if name not in merged]:
        raise InputError(
            f"check_sampler does not know the request of {type(sampler).__name__}, which has no"
            f" `request`; give {', '.join(f'{name}=' for name in missing)}"
        )
    return Request(**merged)


def _numbers(sampler: AnySampler, start: int, episodes: int) -> range:
    length = _length(sampler)
    stop = start + episodes if length is None else min(start + episodes, length)
    if not 0 <= start < stop:
        there = "" if length is None else f" of {length}"
        raise InputError(
            f"check_sampler was given start={start} and episodes={episodes}{there}; there is"
            " nothing to check"
        )
    return range(start, stop)


def _length(sampler: AnySampler) -> int | None:
    try:
        return len(sampler)  # type: ignore[arg-type]  # Sized where finite
    except TypeError:
        return None


# -- the plans -------------------------------------------------------------------------------------


def _check_plans(
    sampler: AnySampler, request: Request, numbers: range, plans: Sequence[Any]
) -> None:
    usable: dict[str, tuple[int, ...]] = {}
    for number, plan in zip(numbers, plans, strict=True):
        if not hasattr(plan, "source"):
            raise AssertionError(
                f"episode {number}: the plan has no `source`, the name of the source it draws from"
            )
        source = sampler.source(plan.source)
        if plan.source not in usable:
            usable[plan.source] = usable_classes(
                source, request, _dropped_classes(sampler, plan.source)
            )
        for sentence in violations(PlanCase(number, plan, source, request, usable[plan.source])):
            raise AssertionError(f"episode {number} of source {plan.source!r}: {sentence}")


def _dropped_classes(sampler: AnySampler, name: str) -> tuple[str, ...]:
    return tuple(getattr(sampler, "dropped_classes", {}).get(name, ()))


# -- purity ----------------------------------------------------------------------------------------


def _check_purity(
    sampler: AnySampler,
    numbers: range,
    plans: Sequence[Any],
    untouched: AnySampler,
    remake: Callable[[], AnySampler] | None,
) -> None:
    backwards, scattered = list(reversed(numbers)), _from_the_middle(numbers)
    _compare(sampler, scattered, numbers, plans, "drawn again in another order")
    _compare(
        untouched,
        backwards,
        numbers,
        plans,
        "drawn in reverse by a pickled copy made before the first episode",
    )
    used = pickle_now(sampler, "the sampler, once used,")()
    _compare(
        used, list(numbers), numbers, plans, "drawn by a pickled copy made after some episodes"
    )
    if remake is not None:
        _compare(
            remake(), scattered, numbers, plans, "drawn in another order by a sampler made anew"
        )
    with foreign_generators():
        _compare(
            sampler,
            list(numbers),
            numbers,
            plans,
            "drawn under other states of the global random generators",
        )


def _from_the_middle(numbers: range) -> list[int]:
    """Every number once: the middle, then ever farther from it."""
    middle = numbers[len(numbers) // 2]
    return sorted(numbers, key=lambda number: (abs(number - middle), number))


def _compare(
    sampler: AnySampler, order: Iterable[int], numbers: range, plans: Sequence[Any], drawing: str
) -> None:
    for number in order:
        _check_same(number, sampler[number], plans[number - numbers.start], drawing)


def _check_same(number: int, plan: Any, first_plan: Any, drawing: str) -> None:
    for name in _COMPARED:
        value, first = getattr(plan, name, None), getattr(first_plan, name, None)
        if not np.array_equal(np.asarray(value), np.asarray(first)):
            raise AssertionError(
                f"episode {number} is not a pure function of its number: {drawing}, its {name} is"
                f" {_short(value)}, the first time it was {_short(first)}"
            )


# -- batches, the end, disjointness ----------------------------------------------------------------


def _check_batches(sampler: AnySampler, numbers: range, plans: Sequence[Any]) -> None:
    if not hasattr(sampler, "batch"):
        return
    middle = numbers[len(numbers) // 3 :]
    batches: list[Sequence[int]] = [
        numbers,
        middle,
        list(reversed(numbers)),
        [numbers[0], numbers[-1], numbers[0]],
        [],
    ]
    for indices in batches:
        drawn, call = list(sampler.batch(indices)), f"batch({_short(indices)})"
        if len(drawn) != len(indices):
            raise AssertionError(f"{call} gave {len(drawn)} plans for {len(indices)} episodes")
        for number, plan in zip(indices, drawn, strict=True):
            _check_same(number, plan, plans[number - numbers.start], f"drawn by {call}")
            if writable := [name for name in _COMPARED[4:] if _writable(getattr(plan, name))]:
                raise AssertionError(
                    f"episode {number}: {writable} are writable in a plan drawn by batch"
                )


def _writable(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.flags.writeable


def _check_end(sampler: AnySampler) -> None:
    length = _length(sampler)
    if length is None:
        return
    try:
        sampler[length]
    except IndexError:
        return
    raise AssertionError(
        f"a sampler with {length} episodes gave episode {length}; raise IndexError instead"
    )


def _check_disjoint(sampler: AnySampler) -> None:
    length = _length(sampler)
    if length is None:
        raise AssertionError(
            "disjoint episodes are finite in number, and this sampler has no length"
        )
    seen: dict[tuple[str, int], int] = {}
    for number in range(length):
        plan = sampler[number]
        for sample in (*np.asarray(plan.support).tolist(), *np.asarray(plan.query).tolist()):
            earlier = seen.setdefault((plan.source, sample), number)
            if earlier != number:
                raise AssertionError(
                    f"episode {number} of source {plan.source!r}: sample {sample} stood in episode"
                    f" {earlier}"
                )


def _short(value: Any) -> str:
    text = np.array2string(np.asarray(value), threshold=12, edgeitems=3, separator=", ")
    return " ".join(text.split()).replace("[ ", "[")

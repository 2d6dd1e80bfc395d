"""A plan is a pure function of its number: in any order, copy, batch, worker, rank and process."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from torchcross.errors import TorchcrossWarning
from torchcross.testing.other_process import CannotLoadError, draw_elsewhere
from torchcross.testing.surroundings import (
    as_rank,
    as_worker,
    copy_of,
    foreign_generators,
    pickle_now,
)

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


class AnySampler(Protocol):
    """Plans by number, and the sources that they name.

    `batch`, `request`, `dropped_classes` and a length are optional.
    """

    def __getitem__(self, index: int, /) -> Any: ...
    def source(self, name: str, /) -> Any: ...


def length_of(sampler: AnySampler) -> int | None:
    try:
        return len(sampler)  # type: ignore[arg-type]  # Sized where finite
    except TypeError:
        return None


def check_purity(
    sampler: AnySampler,
    numbers: range,
    plans: Sequence[Any],
    untouched: bytes,
    remake: Callable[[], AnySampler] | None,
) -> None:
    backwards, scattered = list(reversed(numbers)), _from_the_middle(numbers)
    _compare(sampler, scattered, numbers, plans, "drawn again in another order")
    _compare(
        copy_of(untouched),
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
    with as_worker(2, 5):
        worker = "drawn by a copy in worker 2 of 5 of a DataLoader"
        _compare(copy_of(untouched), list(numbers), numbers, plans, worker)
    with as_rank(1, 3):
        rank = "drawn by a copy in rank 1 of 3 (RANK, LOCAL_RANK, WORLD_SIZE)"
        _compare(copy_of(untouched), list(numbers), numbers, plans, rank)


def check_other_process(
    sampler: AnySampler, numbers: range, plans: Sequence[Any], untouched: bytes
) -> None:
    try:
        elsewhere = draw_elsewhere(untouched, numbers, _COMPARED)
    except CannotLoadError as error:
        warnings.warn(
            f"another process cannot load {type(sampler).__name__} ({error}), so its draws were not"
            " compared with those of another process; put the class in a module that can be"
            " imported",
            TorchcrossWarning,
            stacklevel=3,
        )
        return
    for number, plan, first in zip(numbers, elsewhere, plans, strict=True):
        _check_same(
            number,
            plan,
            first,
            "drawn in another process, whose id and PYTHONHASHSEED (so `hash` of strings and the"
            " order of sets) are others",
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


def check_batches(sampler: AnySampler, numbers: range, plans: Sequence[Any]) -> None:
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


def check_end(sampler: AnySampler) -> None:
    length = length_of(sampler)
    if length is None:
        return
    try:
        sampler[length]
    except IndexError:
        return
    raise AssertionError(
        f"a sampler with {length} episodes gave episode {length}; raise IndexError instead"
    )


def check_disjoint(sampler: AnySampler) -> None:
    length = length_of(sampler)
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

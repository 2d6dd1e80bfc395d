"""`check_sampler`: every contract of sampling, for any object that gives plans by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Literal, TypedDict, Unpack

from torchcross.data import MetaDatasetShots, Request
from torchcross.errors import InputError
from torchcross.testing.chance import FALSE_ALARM
from torchcross.testing.draw_statistics import doubts_about_draws, doubts_about_seeds
from torchcross.testing.other_process import other_process
from torchcross.testing.plan_contracts import PlanCase, usable_classes, violations
from torchcross.testing.purity import (
    AnySampler,
    check_batches,
    check_disjoint,
    check_end,
    check_other_process,
    check_purity,
    length_of,
)
from torchcross.testing.surroundings import generators_left_alone, pickled_bytes

_DEFAULTS = {
    "query": "balanced",
    "groups": "respect",
    "minimal": False,
    "min_samples": None,
    "support": "balanced",
}

# Episodes that are looked at together, for each one that is checked in every way.
_MORE = 20
# With fewer, chance shows nothing but the coarsest faults.
_FEWEST = 10
_SEEDS = (11, 12)


class RequestOptions(TypedDict, total=False):
    """The request of a sampler without a `request` of its own; see `EpisodeSampler`."""

    ways: int | tuple[int, int | None] | None
    shots: int | tuple[int, int] | MetaDatasetShots
    queries: int
    query: Literal["balanced", "natural"]
    groups: Literal["respect", "ignore"]
    minimal: bool
    min_samples: int | Literal["enough"] | None
    support: Literal["balanced", "natural"]


def check_sampler(
    sampler: AnySampler,
    episodes: int = 20,
    *,
    start: int = 0,
    disjoint: bool = False,
    remake: Callable[[], AnySampler] | None = None,
    reseed: Callable[[int], AnySampler] | None = None,
    **options: Unpack[RequestOptions],
) -> None:
    """Raise AssertionError, naming episode and contract, unless a sampler keeps all contracts.

    Checked for `episodes` episodes from `start` on:

    - the plan is what the request says: ways, shots and queries per class, no repeats, labels that
      agree with the source, support and query disjoint by sample and by subject, multi-label
      supports minimal (with `minimal=True`), every sample of a natural multi-label side with a
      known answer, a natural support of shots x ways samples, arrays read-only;
    - it is a pure function of its number: the same again, in any order, from a pickled copy made
      before or after drawing, from a fresh sampler (`remake()`, where given), in a batch, under
      other states of the global generators, as another worker of a DataLoader or another rank, and
      in another process with another process id and another PYTHONHASHSEED. A sampler that cannot
      be pickled is refused. Where another process cannot load it (a class of a notebook or of the
      script that runs), a warning says that this was not compared;
    - the global generators of torch, numpy and Python do not move.

    From 10 `episodes` on, twenty times as many are then drawn, and chance is looked at:

    - for exclusive classes without subjects (multi-class, binary, ordinal): classes, ways and shots
      are uniform; so are the samples of a class, in the support, in the query and together; a
      natural query comes in proportion; episodes are independent of the one before, and later ones
      bring samples that earlier ones did not have;
    - with subjects to respect, several labels per sample, `MetaDatasetShots` or a natural support,
      where many distributions are correct or no class has a number of its own: what an
      `EpisodeSampler` often does for the same request (choose a class, so many ways or shots, a
      part of the samples, another episode than before, a natural side that is balanced or is not,
      a support that misses a class or does not) happens at least a quarter as often;
    - consecutive seeds give unrelated episodes, where `reseed` (a function from seed to sampler) is
      given.

    A sampler with a length may lay out episodes that depend on each other; of these is only asked
    that they are not all the same.

    All thresholds are exact bounds. A correct sampler fails with a probability below 1e-6. The
    other side of this is that rare faults need more `episodes`: with 20 a class that is never
    chosen is seen, and a single sample of a class of 1,000 that is never drawn is not.

    The request comes from `sampler.request`, or from keywords: ways, shots and queries, and where
    they are not the default query, groups, minimal, min_samples, support. With `disjoint=True` the
    episodes of a finite sampler must share no sample.
    """
    request = _request_of(sampler, options)
    numbers = _numbers(sampler, start, episodes)
    untouched = pickled_bytes(sampler, "the sampler")
    other_process()  # it starts while the other checks run
    with generators_left_alone("sampling"):
        plans = [sampler[number] for number in numbers]
        usable = _UsableClasses(sampler, request)
        _check_plans(sampler, request, usable, numbers, plans)
        check_purity(sampler, numbers, plans, untouched, remake)
        check_batches(sampler, numbers, plans)
        check_end(sampler)
        if disjoint:
            check_disjoint(sampler)
        check_other_process(sampler, numbers, plans, untouched)
        if len(numbers) >= _FEWEST:
            _check_draws(sampler, request, usable, numbers)
        if reseed is not None:
            _check_seeds(reseed, request, usable, numbers)


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
    length = length_of(sampler)
    stop = start + episodes if length is None else min(start + episodes, length)
    if not 0 <= start < stop:
        there = "" if length is None else f" of {length}"
        raise InputError(
            f"check_sampler was given start={start} and episodes={episodes}{there}; there is"
            " nothing to check"
        )
    return range(start, stop)


# -- the plans -------------------------------------------------------------------------------------


class _UsableClasses:
    """The classes that an episode of a source may use, counted once for each source."""

    def __init__(self, sampler: AnySampler, request: Request) -> None:
        self._sampler, self._request = sampler, request
        self._classes: dict[str, tuple[int, ...]] = {}

    def __call__(self, name: str) -> tuple[int, ...]:
        if name not in self._classes:
            dropped = tuple(getattr(self._sampler, "dropped_classes", {}).get(name, ()))
            source = self._sampler.source(name)
            self._classes[name] = usable_classes(source, self._request, dropped)
        return self._classes[name]


def _check_plans(
    sampler: AnySampler,
    request: Request,
    usable: _UsableClasses,
    numbers: Sequence[int],
    plans: Sequence[Any],
) -> None:
    for number, plan in zip(numbers, plans, strict=True):
        if not hasattr(plan, "source"):
            raise AssertionError(
                f"episode {number}: the plan has no `source`, the name of the source it draws from"
            )
        source = sampler.source(plan.source)
        case = PlanCase(number, plan, source, request, usable(plan.source))
        for sentence in violations(case):
            raise AssertionError(f"episode {number} of source {plan.source!r}: {sentence}")


# -- chance ----------------------------------------------------------------------------------------


def _check_draws(
    sampler: AnySampler, request: Request, usable: _UsableClasses, numbers: range
) -> None:
    finite = length_of(sampler) is not None
    more = numbers if finite else range(numbers.start, numbers.start + len(numbers) * _MORE)
    plans = [sampler[number] for number in more]
    _check_plans(sampler, request, usable, more, plans)
    for sentence in doubts_about_draws(sampler, request, usable, plans, finite=finite):
        raise AssertionError(_by_chance(more, sentence))


def _check_seeds(
    reseed: Callable[[int], AnySampler],
    request: Request,
    usable: _UsableClasses,
    numbers: range,
) -> None:
    samplers = [reseed(seed) for seed in _SEEDS]
    # One more: episodes are compared with the next one of the other seed, too.
    more = range(numbers.start, numbers.start + len(numbers) * _MORE + 1)
    if (length := length_of(samplers[0])) is not None:
        more = range(numbers.start, length)
    for sentence in doubts_about_seeds(samplers, request, usable, more[:-1]):
        raise AssertionError(_by_chance(more, f"with seeds {_SEEDS}: {sentence}"))


def _by_chance(numbers: range, sentence: str) -> str:
    return (
        f"episodes {numbers.start}..{numbers.stop - 1}: {sentence}; a correct sampler differs so"
        f" much with a probability below {FALSE_ALARM:g}"
    )

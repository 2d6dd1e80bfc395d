"""The contracts of a single plan. Every contract yields one sentence for each violation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross.data import MetaDatasetShots, Request
from torchcross.data.sampling.feasibility import needed_per_class
from torchcross.data.sampling.request import ways_within
from torchcross.targets import Cover, Partition, Strata

_SIDES = ("support", "query")
_FIELDS = ("source", "classes", *_SIDES, "support_labels", "query_labels")


@dataclass(frozen=True)
class PlanCase:
    """A plan with what it must agree with: its number, its source and the request."""

    number: int
    plan: Any
    source: Any
    request: Request
    usable: tuple[int, ...]

    @property
    def strata(self) -> Strata:
        strata: Strata = self.source.task.target.strata(self.source.labels)
        return strata

    @property
    def ways(self) -> int:
        return len(self.plan.classes)

    def samples(self, side: str) -> NDArray[np.int64]:
        return np.asarray(getattr(self.plan, side))

    def labels(self, side: str) -> NDArray[np.int64]:
        return np.asarray(getattr(self.plan, f"{side}_labels"))


def violations(case: PlanCase) -> Iterator[str]:
    """All that is wrong with a plan, coarse before fine: later contracts rely on earlier ones."""
    for contract in (_fields, _number, _arrays, _classes, _samples, _subjects, _labels):
        yield from contract(case)
    yield from _amounts(case.strata, case)


def usable_classes(source: Any, request: Request, dropped: tuple[str, ...] = ()) -> tuple[int, ...]:
    """The classes an episode may use: those with enough samples that are not dropped."""
    target = source.task.target
    supply = _supply(target.strata(source.labels))
    least = request.min_samples or 0
    if least == "enough":
        least = needed_per_class(request)
    names = enumerate(target.classes)
    return tuple(c for c, name in names if supply[c] >= least and name not in dropped)


@singledispatch
def _supply(strata: Strata) -> NDArray[np.int64]:
    raise TypeError(f"no supply is known for strata of type {type(strata).__name__}")


@_supply.register
def _(strata: Partition) -> NDArray[np.int64]:
    return np.bincount(strata.codes[strata.codes >= 0], minlength=strata.num_classes).astype(
        np.int64
    )


@_supply.register
def _(strata: Cover) -> NDArray[np.int64]:
    rarer: NDArray[np.int64] = _both_answers(strata.answers).min(axis=0)
    return rarer


# -- the form of a plan ----------------------------------------------------------------------------


def _fields(case: PlanCase) -> Iterator[str]:
    for name in _FIELDS:
        if not hasattr(case.plan, name):
            yield (
                f"the plan has no `{name}` (a {type(case.plan).__name__}); an EpisodePlan has"
                f" {', '.join(_FIELDS)}"
            )


def _number(case: PlanCase) -> Iterator[str]:
    number = getattr(case.plan, "index", case.number)
    if number != case.number:
        yield f"the plan says that it is episode {number}"


def _arrays(case: PlanCase) -> Iterator[str]:
    for name in _FIELDS[2:]:
        value = getattr(case.plan, name)
        array = np.asarray(value)
        if array.dtype.kind not in "iu":
            yield f"{name} holds {array.dtype}, not integers"
        if isinstance(value, np.ndarray) and value.flags.writeable:
            yield (
                f"{name} is writable, so a reader can change the plan; set {name}.flags.writeable ="
                " False"
            )
    for side in _SIDES:
        samples, labels = case.samples(side), case.labels(side)
        if samples.ndim != 1 or len(samples) != len(labels):
            yield (
                f"{side} has shape {samples.shape}, {side}_labels {labels.shape}; expected one"
                " label per sample"
            )


def _classes(case: PlanCase) -> Iterator[str]:
    classes, target = list(case.plan.classes), case.source.task.target
    if classes != sorted(set(classes)):
        yield f"classes {classes} are not ascending and distinct"
    if strangers := [c for c in classes if not 0 <= c < target.num_classes]:
        yield f"classes {strangers} are no positions in {list(target.classes)}"
    elif left_out := [target.classes[c] for c in classes if c not in case.usable]:
        yield (
            f"classes {left_out} stand in the plan and should be left out"
            f" (min_samples={case.request.min_samples!r})"
        )
    bounds = ways_within(case.request.ways, target.ways[0], len(case.usable))
    if bounds is None:
        yield (
            f"ways={case.request.ways!r} cannot be had from {len(case.usable)} classes, yet there"
            " is a plan"
        )
    elif not bounds[0] <= case.ways <= bounds[1]:
        yield (
            f"the plan has {case.ways} ways, asked were {bounds[0]} to {bounds[1]}"
            f" (ways={case.request.ways!r})"
        )


def _samples(case: PlanCase) -> Iterator[str]:
    count = len(case.source.labels)
    for side in _SIDES:
        samples = case.samples(side)
        if len(strangers := samples[(samples < 0) | (samples >= count)]):
            yield f"{side} holds {_some(strangers)}, the source has samples 0..{count - 1}"
        different, times = np.unique(samples, return_counts=True)
        if len(repeated := different[times > 1]):
            yield f"{side} holds the samples {_some(repeated)} more than once"
    if len(shared := np.intersect1d(case.samples("support"), case.samples("query"))):
        yield f"support and query share the samples {_some(shared)}"


def _subjects(case: PlanCase) -> Iterator[str]:
    groups = getattr(case.source, "groups", None)
    if groups is None or case.request.groups == "ignore":
        return
    owners = np.asarray(groups)
    if len(
        shared := np.intersect1d(owners[case.samples("support")], owners[case.samples("query")])
    ):
        yield f"the subjects {_some(shared)} stand in both support and query"


def _labels(case: PlanCase) -> Iterator[str]:
    codes, target = np.asarray(case.source.labels), case.source.task.target
    for side in _SIDES:
        samples, labels = case.samples(side), case.labels(side)
        expected = target.relabel(codes[samples], case.plan.classes)
        if labels.shape != expected.shape:
            yield (
                f"{side}_labels has shape {labels.shape}, the source's labels make {expected.shape}"
            )
        elif len(
            wrong := np.flatnonzero((labels != expected).any(axis=tuple(range(1, labels.ndim))))
        ):
            first = int(wrong[0])
            yield (
                f"{side} labels sample {int(samples[first])} as {labels[first].tolist()}, the"
                f" source as {expected[first].tolist()} ({len(wrong)} wrong in all; -1 is a missing"
                " label or another class)"
            )


# -- how much of everything ------------------------------------------------------------------------


@singledispatch
def _amounts(strata: Strata, case: PlanCase) -> Iterator[str]:
    raise TypeError(f"no contract is known for strata of type {type(strata).__name__}")


@_amounts.register
def _(strata: Partition, case: PlanCase) -> Iterator[str]:
    for side in _SIDES:
        if (labels := case.labels(side)).min(initial=0) < 0:
            unlabelled = case.samples(side)[labels < 0]
            yield (
                f"{side} holds samples without a label, or of classes outside the episode:"
                f" {_some(unlabelled)}"
            )
            return
    support, query = (np.bincount(case.labels(side), minlength=case.ways) for side in _SIDES)
    if isinstance(case.request.shots, MetaDatasetShots):
        yield from _variable_shots(case, case.request.shots, support)
        if query.min() != query.max() or not 1 <= query.max() <= case.request.queries:
            yield (
                f"queries per class are {query.tolist()}, asked was one number of at most"
                f" {case.request.queries}"
            )
        return
    low, high = case.request.shot_range
    if case.request.support == "natural":
        yield from _natural_support(case)
    elif support.min() != support.max() or not low <= support.max() <= high:
        yield (
            f"shots per class are {support.tolist()}, asked was {_between(low, high)} of every"
            " class"
        )
    elif _shots(case) not in (None, support.max()):
        yield f"the plan says {_shots(case)} shots and has {support.max()}"
    if case.request.query == "natural":
        yield from _natural_query(case)
    elif (query != case.request.queries).any():
        yield (
            f"queries per class are {query.tolist()}, asked were {case.request.queries} of every"
            " class"
        )


@_amounts.register
def _(strata: Cover, case: PlanCase) -> Iterator[str]:
    query = _both_answers(case.labels("query"))
    if case.request.support == "natural":
        yield from _natural_support(case)
        yield from _without_answers(case, "support")
    else:
        yield from _balanced_support(case)
    if case.request.query == "natural":
        yield from _natural_query(case)
        yield from _without_answers(case, "query")
    elif query.min() < case.request.queries:
        asked = case.request.queries
        yield f"query has {_rarest(case, query)}, {asked} with and {asked} without are needed"


def _balanced_support(case: PlanCase) -> Iterator[str]:
    """Of labels: so many samples with and without each of them, and no more than that needs."""
    low, high = case.request.shot_range
    support, shots = _both_answers(case.labels("support")), _shots(case)
    shots = int(support.min()) if shots is None else shots
    if shots < low or (_shots(case) is not None and shots > high):
        yield f"the plan has {shots} shots, asked was {_between(low, high)}"
    if support.min() < shots:
        yield f"support has {_rarest(case, support)}, {shots} with and {shots} without are needed"
    elif case.request.minimal and len(
        spare := case.samples("support")[_can_go(case.labels("support"), shots)]
    ):
        yield (
            f"support is not minimal: {_some(spare)} can each be left out, and {shots} with and"
            " without remain"
        )


def _variable_shots(
    case: PlanCase, asked: MetaDatasetShots, support: NDArray[np.int64]
) -> Iterator[str]:
    if support.min() < 1:
        yield f"shots per class are {support.tolist()}; every class needs one at least"
    if support.sum() > (most := max(asked.max_support, case.ways)):
        yield f"support holds {support.sum()} samples, asked were at most {most}"


def _natural_support(case: PlanCase) -> Iterator[str]:
    (low, high), size = case.request.shot_range, len(case.samples("support"))
    if size % case.ways or not low <= size // case.ways <= high:
        yield (
            f"support holds {size} samples, asked were {_between(low, high)} x {case.ways} ways, as"
            " they come"
        )
    elif _shots(case) not in (None, size // case.ways):
        yield f"the plan says {_shots(case)} shots and has {size} samples of {case.ways} ways"


def _without_answers(case: PlanCase, side: str) -> Iterator[str]:
    if len(unknown := case.samples(side)[(case.labels(side) < 0).all(axis=1)]):
        yield (
            f"{side} holds samples without a known answer to any label of the episode:"
            f" {_some(unknown)}"
        )


def _natural_query(case: PlanCase) -> Iterator[str]:
    requested, size = case.request.queries * case.ways, len(case.samples("query"))
    if size != requested:
        yield (
            f"query holds {size} samples, asked were {requested} ({case.request.queries} x"
            f" {case.ways} ways)"
        )


def _shots(case: PlanCase) -> int | None:
    shots: int | None = getattr(case.plan, "shots", None)
    return shots


def _both_answers(answers: NDArray[Any]) -> NDArray[np.int64]:
    """(2, L): how many samples lack each label, and how many have it."""
    return np.stack([(answers == 0).sum(axis=0), (answers == 1).sum(axis=0)])


def _can_go(answers: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
    """Which samples can each be left out while every label keeps `least` with and without it."""
    none_to_spare = _both_answers(answers) <= least
    votes = np.stack([answers == 0, answers == 1])
    needed = votes & none_to_spare[:, None, :]
    return np.logical_not(needed.any(axis=(0, 2)))


def _rarest(case: PlanCase, both: NDArray[np.int64]) -> str:
    answer, label = np.unravel_index(int(both.argmin()), both.shape)
    name = case.source.task.target.classes[case.plan.classes[label]]
    return f"{both[answer, label]} samples {'with' if answer else 'without'} {name!r}"


def _between(low: int, high: int) -> str:
    return f"{low}" if low == high else f"one number from {low} to {high}"


def _some(items: NDArray[Any]) -> str:
    shown = [str(item) for item in items[:5].tolist()]
    return f"[{', '.join(shown)}{', ...' if len(items) > 5 else ''}]"

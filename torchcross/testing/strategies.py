"""Hypothesis strategies: targets, label arrays, sources, requests and samplers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import reject
from hypothesis import strategies as st
from numpy.typing import NDArray

from torchcross._kit.randomness import Stream, permutation
from torchcross.data import EpisodeSampler, MetaDatasetShots, TaskSource
from torchcross.errors import InfeasibleError, SubjectLeakWarning
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Partition, Target
from torchcross.task import Task
from torchcross.testing.numbered import NumberedSource

Codes = NDArray[np.int64]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NAN = "nan"


# -- targets ---------------------------------------------------------------------------------------


def _with_values(
    kind: Callable[..., Target], names: list[str], values: list[int] | None, missing: object
) -> Target:
    classes = names if values is None else dict(zip(values, names, strict=True))
    return kind(classes, missing=missing)


def _multilabel(names: list[str], values: list[int] | None, missing: object) -> Target:
    return MultiLabel(names, missing=missing)


def _ordinal(names: list[str], values: list[int] | None, missing: object) -> Target:
    return Ordinal(names, grades=None if values is None else sorted(values), missing=missing)


_Maker = Callable[[list[str], list[int] | None, object], Target]
# How many classes a target has at least and at most, and how it is made.
_KINDS: dict[str, tuple[int, int | None, _Maker]] = {
    "binary": (2, 2, partial(_with_values, Binary)),
    "multiclass": (2, None, partial(_with_values, MultiClass)),
    "multilabel": (1, None, _multilabel),
    "ordinal": (2, None, _ordinal),
}


@st.composite
def targets(
    draw: st.DrawFn,
    kinds: Sequence[str] = tuple(_KINDS),
    *,
    max_classes: int = 5,
    missing: bool | None = None,
) -> Target:
    """Targets of these kinds, some with label values of their own.

    Some declare a missing value; with `missing=True` all do.
    """
    fewest, most, make = _KINDS[draw(st.sampled_from(list(kinds)))]
    count = draw(st.integers(fewest, max(fewest, min(most or max_classes, max_classes))))
    values = draw(
        st.none() | st.lists(st.integers(-3, 12), min_size=count, max_size=count, unique=True)
    )
    taken = range(count) if values is None else values
    unknowns: list[object] = [_NAN, (_NAN, min(0, *taken) - 1), min(0, *taken) - 1]
    declared = draw(st.booleans()) if missing is None else missing
    return make(
        [f"class {_LETTERS[c]}" for c in range(count)],
        values,
        draw(st.sampled_from(unknowns)) if declared else (),
    )


# -- labels ----------------------------------------------------------------------------------------


@st.composite
def label_arrays(
    draw: st.DrawFn,
    target: Target,
    *,
    each: int = 0,
    max_extra: int = 12,
    missing: bool | None = None,
) -> Any:
    """Raw labels that `target.encode` takes, in various containers: numpy arrays, lists, tensors,
    class names.

    Every class gets `each` samples (multi-label: every label so many with and without it) and up to
    `max_extra` more, often none, so that some classes are rare and, with each=0, some are absent.
    Where the target declares an unknown value, some labels are missing (`missing`: none with False,
    at least one with True).
    """
    codes = draw(_codes(target, each, max_extra))
    if target.missing and missing is not False:
        all_of_them = each == 0 and draw(st.integers(0, 9)) == 9
        codes = (
            np.full_like(codes, -1) if all_of_them else draw(_with_unknowns(codes, bool(missing)))
        )
    return draw(_container(target, codes))


@st.composite
def _codes(draw: st.DrawFn, target: Target, each: int, max_extra: int) -> Codes:
    """(N,) or (N, L), nothing missing, in an order of no meaning; at least one sample."""
    stream = Stream(draw(st.integers(0, 999)), "generated labels")
    extra = st.just(0) | st.integers(0, max_extra)
    if target.label_shape == ():
        counts = [each + draw(extra) for _ in target.classes]
        counts[0] += sum(counts) == 0
        codes = np.repeat(np.arange(len(counts)), counts)
        return codes[permutation(stream, 0, len(codes))]
    length = 2 * each + draw(extra) + (each == 0)
    columns = []
    for label in range(target.num_classes):
        positives = each + draw(st.integers(0, length - 2 * each))
        columns.append(permutation(stream, label, length) < positives)
    return np.stack(columns, axis=1).astype(np.int64)


@st.composite
def _with_unknowns(draw: st.DrawFn, codes: Codes, needed: bool) -> Codes:
    """Some further samples whose labels (multi-label: some of whose labels) are missing."""
    count = draw(st.integers(int(needed), 5))
    stream = Stream(draw(st.integers(0, 999)), "generated unknowns")
    extra = codes[permutation(stream, 0, count) % len(codes)].copy()
    if codes.ndim == 1 or draw(st.booleans()):
        extra[...] = -1
    else:
        places = np.arange(codes.shape[1])
        extra[:, places % 2 == draw(st.sampled_from([0, 1] if len(places) > 1 else [0]))] = -1
    together = np.concatenate([codes, extra])
    return together[permutation(stream, 1, len(together))]


@st.composite
def _container(draw: st.DrawFn, target: Target, codes: Codes) -> Any:
    """Codes as raw labels in some container that can hold them."""
    unknown = codes < 0
    declared = draw(st.sampled_from(target.missing)) if unknown.any() else 0
    raw = np.array(target.values, dtype=np.int64)[codes]
    if isinstance(declared, str):
        raw = np.where(unknown, np.nan, raw)
        return draw(
            st.sampled_from([raw, raw.astype(np.float32), raw.tolist(), torch.from_numpy(raw)])
        )
    raw[unknown] = declared
    choices: list[Any] = [
        raw,
        raw.astype(np.int16),
        raw.astype(np.float64),
        raw.tolist(),
        torch.from_numpy(raw),
    ]
    if not unknown.any():
        if raw.min() >= 0:
            choices.append(raw.astype(np.uint8))
        if raw.min() >= 0 and raw.max() <= 1 and set(target.values) == {0, 1}:
            choices.append(raw.astype(bool))
        if codes.ndim == 1:
            choices.append([target.classes[code] for code in codes.tolist()])
    return draw(st.sampled_from(choices))


# -- sources ---------------------------------------------------------------------------------------


@st.composite
def sources(
    draw: st.DrawFn,
    kinds: Sequence[str] = tuple(_KINDS),
    *,
    each: int = 0,
    groups: bool | None = None,
    missing: bool | None = None,
    max_classes: int = 5,
    max_extra: int = 12,
    name: str | None = None,
) -> NumberedSource:
    """Sources whose images say which sample they are (see `numbers_of`), some with subjects
    (`groups`: all or none).

    Every class has `each` samples (multi-label: of both answers), of as many subjects that have
    nothing else, so that episodes of `each` shots and queries per class can be had. With each=0
    nothing is sure.
    """
    target = draw(targets(kinds, max_classes=max_classes, missing=missing))
    labels = draw(label_arrays(target, each=each, max_extra=max_extra, missing=missing))
    grouped = draw(st.booleans()) if groups is None else groups
    subjects = draw(_subjects(target.encode(labels), each)) if grouped else None
    domain = draw(st.sampled_from(["", "generated"]))
    return NumberedSource(Task("labels", target, domain), labels, groups=subjects, name=name)


@st.composite
def _subjects(draw: st.DrawFn, codes: NDArray[Any], each: int) -> Any:
    """One subject per sample: few, many or each its own, evenly spread or one that owns half."""
    samples = len(codes)
    count = draw(st.sampled_from([2, 3, 5, max(samples // 2, 1), samples]))
    stream = Stream(draw(st.integers(0, 999)), "generated subjects")
    subjects = permutation(stream, 0, samples) % count
    if draw(st.booleans()):
        subjects[permutation(stream, 1, samples) < samples // 2] = 0
    alone: set[int] = set()
    for column in codes.reshape(samples, -1).T:
        for code in np.unique(column[column >= 0]):
            alone.update(np.flatnonzero(column == code)[:each].tolist())
    for place, sample in enumerate(sorted(alone)):
        subjects[sample] = count + place
    names = [f"patient {subject}" for subject in subjects.tolist()]
    return draw(st.sampled_from([subjects, subjects * 7 + 3, names]))


# -- requests and samplers -------------------------------------------------------------------------


@st.composite
def requests(draw: st.DrawFn, source: TaskSource) -> dict[str, Any]:
    """Keywords for `EpisodeSampler` that counting does not rule out; subjects and overlaps may."""
    target = source.task.target
    strata = target.strata(source.labels)
    exclusive = isinstance(strata, Partition)
    supply = np.sort(_supply(source))[::-1]
    fewest = target.ways[0]
    if len(supply) < fewest or (best := int(supply[fewest - 1])) < 2:
        reject()
    shots = draw(st.integers(1, min(best - 1, 5)))
    queries = draw(st.integers(1, min(best - shots, 5)))
    large = int((supply >= shots + queries).sum())
    query = draw(st.sampled_from(["balanced", "balanced", "natural"]))
    support = draw(st.sampled_from(["balanced", "balanced", "balanced", "natural"]))
    filters: list[Any] = [shots + queries]
    if query == support == "balanced":
        # What is enough for a class may be too little for a natural side besides.
        filters.append("enough")
    if large == len(supply):
        filters.append(None)
    ways: list[Any] = [None, (fewest, None), (1, large), draw(st.integers(fewest, large))]
    shot_choices: list[Any] = [shots, (draw(st.integers(1, shots)), shots)]
    if exclusive and query == support == "balanced":
        shot_choices.append(MetaDatasetShots(draw(st.integers(1, 60)), draw(st.integers(1, 20))))
    has_groups = source.groups is not None
    return {
        "ways": draw(st.sampled_from(ways)),
        "shots": draw(st.sampled_from(shot_choices)),
        "queries": queries,
        "query": query,
        "groups": draw(st.sampled_from(["respect", "ignore"] if has_groups else ["respect"])),
        "minimal": draw(st.booleans()),
        "min_samples": draw(st.sampled_from(filters)),
        "support": support,
    }


def _supply(source: TaskSource) -> NDArray[np.int64]:
    """Per class its samples; per label the samples of its rarer answer."""
    labels = source.labels
    if labels.ndim == 1:
        supply = np.bincount(labels[labels >= 0], minlength=source.task.target.num_classes)
    else:
        supply = np.minimum((labels == 0).sum(axis=0), (labels == 1).sum(axis=0))
    return supply.astype(np.int64)


@st.composite
def samplers(draw: st.DrawFn, /, source: TaskSource, **fixed: Any) -> EpisodeSampler:
    """Samplers over a source; `fixed` keywords stay, the others are drawn."""
    options = draw(requests(source)) | {"seed": draw(st.integers(0, 2**32))} | fixed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectLeakWarning)
        try:
            return EpisodeSampler(source, **options)
        except InfeasibleError:
            reject()

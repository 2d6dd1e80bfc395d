"""Plans against those of `EpisodeSampler`, where samples need not be equally likely.

With subjects, with several labels per sample and with Meta-Dataset's shots, many distributions are
correct. So only events are compared: what `EpisodeSampler` often does, a correct sampler does at
least a few times.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross.data import (
    EpisodeSampler,
    LabelSource,
    MetaDatasetShots,
    Request,
    TaskSource,
)
from torchcross.errors import InfeasibleError, SubjectLeakWarning
from torchcross.testing.chance import ComparedTally
from torchcross.testing.uniform_draws import samples_of

_SEED = 0x5EED_0F_A_5A3B1E
_MOST_SAMPLES = 64
Happened = NDArray[np.bool_]


@dataclass(frozen=True)
class DrawSetting:
    """The source of some plans, and the request."""

    source: Any
    request: Request
    usable: tuple[int, ...]

    @property
    def labels(self) -> NDArray[Any]:
        return np.asarray(self.source.labels)


def reference_plans(setting: DrawSetting, count: int, seed: int = _SEED) -> Sequence[Any]:
    """Plans of `EpisodeSampler` for the same labels, subjects and request, if it has any."""
    request = setting.request
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectLeakWarning)  # the user asked for it
        try:
            sampler = EpisodeSampler(
                _label_source(setting.source),
                ways=request.ways,
                shots=request.shots,
                queries=request.queries,
                seed=seed,
                query=request.query,
                groups=request.groups,
                minimal=request.minimal,
                min_samples=request.min_samples,
                support=request.support,
            )
            return list(sampler.batch(range(count)))
        except InfeasibleError:
            return []


def _label_source(source: Any) -> TaskSource:
    """The labels and subjects of any source."""
    if isinstance(source, TaskSource):
        return source
    target = source.task.target
    codes = type(target)(list(target.classes), missing=-1)
    task = replace(source.task, target=codes)
    return LabelSource(source.labels, task, groups=getattr(source, "groups", None))


def compared_tallies(setting: DrawSetting, plans: Sequence[Any]) -> Iterator[ComparedTally]:
    """Every event, counted over these plans and over as many of `EpisodeSampler`."""
    references = reference_plans(setting, len(plans))
    if not references:
        return
    with_shots = all(getattr(plan, "shots", None) is not None for plan in plans)
    median = int(np.median([len(plan.support) for plan in references]))
    # What these plans have met in their first half decides what is new, for both.
    half = len(plans) // 2
    seen = np.zeros(len(setting.labels), dtype=bool)
    for plan in plans[:half]:
        seen[samples_of(plan, "episode")] = True
    for ours, theirs in (
        (
            _events(setting, plans, with_shots, median),
            _events(setting, references, with_shots, median),
        ),
        (_new_samples(plans[half:], seen), _new_samples(references[half:], seen)),
    ):
        for subject, happened in ours.items():
            yield _tally(subject, happened, theirs[subject])


def finite_tallies(setting: DrawSetting, plans: Sequence[Any]) -> Iterator[ComparedTally]:
    """What must be said of episodes that may share no sample: not all of them are the same."""
    references = reference_plans(setting, len(plans))
    if len(references) > 1:
        yield _tally(*_differs(plans[:-1], plans[1:]), _differs(references[:-1], references[1:])[1])


def compared_pairs(
    setting: DrawSetting, befores: Sequence[Any], afters: Sequence[Any], before: str
) -> Iterator[ComparedTally]:
    """Whether plans differ from others that they must not depend on."""
    references = (
        reference_plans(setting, len(afters)),
        reference_plans(setting, len(afters), _SEED + 1),
    )
    if all(references):
        happened = _differs(befores, afters)[1]
        yield _tally(
            f"an episode differed from that of {before}", happened, _differs(*references)[1]
        )


def _tally(subject: str, happened: Happened, reference: Happened) -> ComparedTally:
    return ComparedTally(
        subject, int(happened.sum()), len(happened), int(reference.sum()), len(reference)
    )


# -- events ----------------------------------------------------------------------------------------


def _events(
    setting: DrawSetting, plans: Sequence[Any], with_shots: bool, median: int
) -> dict[str, Happened]:
    """For each event, in which plans it happened. Plans count, not draws: those depend on each
    other where samples of one subject stay together.
    """
    events = {}
    classes = setting.source.task.target.classes
    ways = np.array([len(plan.classes) for plan in plans])
    for c in setting.usable:
        chosen = np.array([c in plan.classes for plan in plans])
        events[f"class {classes[c]!r} was chosen"] = chosen
    for value in range(1, len(setting.usable) + 1):
        events[f"an episode had {value} ways"] = ways == value
    events |= _shot_events(setting, plans, with_shots, median)
    events |= _place_events(setting, plans)
    for offset in (0, 1):
        name, differs = _differs(plans[offset::2], plans[offset + 1 :: 2])
        events[f"{name} (pairs from episode {offset} on)"] = differs
    if setting.request.query == "natural":
        queries = setting.request.queries
        balanced = [_is_balanced(plan, plan.query_labels, queries) for plan in plans]
        events["a natural query was balanced"] = np.array(balanced)
    if setting.request.support == "natural":
        shots = [len(plan.support) // len(plan.classes) for plan in plans]
        both = list(zip(plans, shots, strict=True))
        balanced = [_is_balanced(plan, plan.support_labels, each) for plan, each in both]
        events["a natural support was balanced"] = np.array(balanced)
        whole = [_is_balanced(plan, plan.support_labels, 1, exactly=False) for plan in plans]
        events["a natural support had every class"] = np.array(whole)
    return events


def _shot_events(
    setting: DrawSetting, plans: Sequence[Any], with_shots: bool, median: int
) -> dict[str, Happened]:
    if isinstance(setting.request.shots, MetaDatasetShots):
        sizes = np.array([len(plan.support) for plan in plans])
        return {f"the support had more than {median} samples": sizes > median}
    if with_shots:
        shots = np.array([plan.shots for plan in plans])
    elif setting.labels.ndim == 1:
        shots = np.array([len(plan.support) // len(plan.classes) for plan in plans])
    else:
        # Plans that do not say their shots; a support may hold more of some answers than asked.
        return {}
    low, high = setting.request.shot_range
    return {f"an episode had {value} shots": shots == value for value in range(low, high + 1)}


def _counts(labels: NDArray[Any], ways: int) -> NDArray[np.int64]:
    """How many samples each class has, or each answer to each label."""
    if labels.ndim == 1:
        return np.bincount(labels, minlength=ways)
    return np.stack([(labels == 0).sum(axis=0), (labels == 1).sum(axis=0)])


def _place_events(setting: DrawSetting, plans: Sequence[Any]) -> dict[str, Happened]:
    """Whether parts of the classes (of all samples, where labels overlap) were met at all."""
    labels = setting.labels
    known = labels >= 0 if labels.ndim == 1 else (labels >= 0).any(axis=1)
    kinds = [np.flatnonzero(known)]
    if labels.ndim == 1:
        kinds = [np.flatnonzero(labels == c) for c in np.unique(labels[known])]
    parts = {
        "the first half": np.concatenate([kind[: len(kind) // 2] for kind in kinds]),
        "the second half": np.concatenate([kind[len(kind) // 2 :] for kind in kinds]),
        "the even places": np.concatenate([kind[::2] for kind in kinds]),
        "the odd places": np.concatenate([kind[1::2] for kind in kinds]),
        "the first places": np.concatenate([kind[:1] for kind in kinds]),
        "the last places": np.concatenate([kind[-1:] for kind in kinds]),
    }
    owner = "of the classes" if labels.ndim == 1 else "of the source"
    events = {}
    for side in ("support", "query"):
        samples, owners = _all_samples(plans, side)
        for name, members in parts.items():
            met = np.zeros(len(plans), dtype=bool)
            met[owners[np.isin(samples, members)]] = True
            events[f"a sample of {name} {owner} stood in the {side}"] = met
    if len(labels) <= _MOST_SAMPLES:
        samples, owners = _all_samples(plans, "episode")
        for sample in np.flatnonzero(known).tolist():
            met = np.zeros(len(plans), dtype=bool)
            met[owners[samples == sample]] = True
            events[f"sample {sample} stood in an episode"] = met
    return events


def _all_samples(plans: Sequence[Any], side: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The samples of all plans on a side, and for each of them its plan."""
    samples = [samples_of(plan, side) for plan in plans]
    sizes = [len(part) for part in samples]
    return np.concatenate(samples), np.repeat(np.arange(len(plans)), sizes)


def _new_samples(plans: Sequence[Any], seen: Happened) -> dict[str, Happened]:
    new = [(~seen[samples_of(plan, "episode")]).any() for plan in plans]
    return {"a sample came that the first half of the episodes did not have": np.array(new)}


def _differs(befores: Sequence[Any], afters: Sequence[Any]) -> tuple[str, Happened]:
    differs = []
    for one, other in zip(befores, afters, strict=False):
        sides = [
            [set(samples_of(plan, side).tolist()) for side in ("support", "query")]
            for plan in (one, other)
        ]
        differs.append(sides[0] != sides[1])
    return "an episode differed from the one before", np.array(differs, dtype=bool)


def _is_balanced(plan: Any, labels: Any, each: int, *, exactly: bool = True) -> bool:
    """Whether a side holds what a balanced one would: so many of every class or answer."""
    answers = np.asarray(labels)
    counts = _counts(answers, len(plan.classes))
    return bool((counts == each).all() if answers.ndim == 1 and exactly else (counts >= each).all())

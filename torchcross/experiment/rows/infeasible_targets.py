"""Why a target cannot give the episodes of an experiment, in words of the experiment's settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

from torchcross.data import EpisodeSampler, TaskSource
from torchcross.errors import InfeasibleError, SubjectLeakWarning
from torchcross.experiment.settings.schema import Experiment

_SHOWN: Final = 10
_ON_THE_COMMAND_LINE: Final = "(on the command line: --set evaluation.queries=N; --shots K,L)"

SamplerOf = Callable[..., EpisodeSampler]
"""Makes the target's sampler; arguments replace those of the experiment."""


def infeasible_target(
    source: TaskSource, experiment: Experiment, fewest: int | None, sampler_of: SamplerOf
) -> InfeasibleError:
    """The error for a target whose sampler is refused; what it says is possible was tried.

    `fewest` is the `min_images` that holds for this target, or None where every class stays.
    """
    evaluation, shots = experiment.evaluation, max(experiment.support_shots)
    lines = [
        f"target {source.name!r} cannot give {shots}-shot episodes with {evaluation.queries}"
        f" queries per class (evaluation.queries = {evaluation.queries}):"
    ]
    if len(experiment.support_shots) > 1:
        listed = ", ".join(map(str, sorted(experiment.support_shots)))
        lines.append(
            f"  supports are nested: each of shots = [{listed}] needs the images of {shots} shots"
        )
    lines += _about_classes(source, fewest)
    if evaluation.groups == "respect" and source.groups is not None:
        lines.append("  no subject may be in both support and query (evaluation.groups)")
    possible = "; or ".join(_changes(source, experiment, fewest, sampler_of))
    if possible:
        lines += [f"Possible: {possible}", _ON_THE_COMMAND_LINE]
    else:
        lines.append("Possible: nothing of this kind; leave the target out, or give it more images")
    return InfeasibleError("\n".join(lines))


def _about_classes(source: TaskSource, fewest: int | None) -> Iterator[str]:
    names, counts = source.task.target.classes, _images_of_classes(source)
    small = [count for count in counts if count < (fewest or 0)]
    if small:
        which = (
            f"all {len(counts)}" if len(small) == len(counts) else f"{len(small)} of {len(counts)}"
        )
        yield f"  evaluation.min_images = {fewest} leaves out {which} classes"
    listed = ", ".join(
        f"{name!r}: {count}" for name, count in zip(names[:_SHOWN], counts, strict=False)
    )
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    low, high = min(counts), max(counts)
    span = f"{low} images each" if low == high else f"{low} to {high} images"
    yield f"  classes have {span}: {listed}{more}"


def _images_of_classes(source: TaskSource) -> list[int]:
    """The images of each class; of a label the fewer of those with it and those without."""
    labels, classes = source.labels, range(len(source.task.target.classes))
    if labels.ndim == 1:
        return [int((labels == place).sum()) for place in classes]
    sides = [[int((labels[:, place] == side).sum()) for side in (0, 1)] for place in classes]
    return [min(pair) for pair in sides]


def _changes(
    source: TaskSource, experiment: Experiment, fewest: int | None, sampler_of: SamplerOf
) -> Iterator[str]:
    """Settings with which the target gives episodes, each on its own if one is enough."""
    queries, shots = experiment.evaluation.queries, max(experiment.support_shots)

    def works(**changes: Any) -> bool:
        try:
            with warnings.catch_warnings():
                # Subjects on both sides are a suggestion here.
                warnings.simplefilter("ignore", SubjectLeakWarning)
                sampler_of(**changes)
        except InfeasibleError:
            return False
        return True

    counts = _images_of_classes(source)
    kept, kept_as_asked = 0, sum(count >= (fewest or 0) for count in counts)
    least = _smallest_filter(source, works) if fewest is not None else None
    if least is not None:
        kept = sum(count >= least for count in counts)
        yield f"evaluation.min_images = {least}, which keeps {kept} of {len(counts)} classes"
    if most := _largest(queries - 1, lambda number: works(queries=number)):
        kept = max(kept, kept_as_asked)
        yield f"evaluation.queries = {most}"
    if most := _largest(shots - 1, lambda number: works(shots=number)):
        kept = max(kept, kept_as_asked)
        yield f"shots of at most {most}"
    if source.groups is not None and works(groups="ignore"):
        kept = max(kept, kept_as_asked)
        yield 'evaluation.groups = "ignore", which lets a subject be in both'
    if fewest is None or kept == len(counts):
        return
    lower = _fewer_queries_and_images(source, queries, works)
    if lower is not None:
        yield lower


def _smallest_filter(source: TaskSource, works: Callable[..., bool]) -> int | None:
    """The `min_images` that keeps the most classes."""
    counts = sorted({count for count in _images_of_classes(source) if count})
    return next((least for least in counts if works(min_samples=least)), None)


def _fewer_queries_and_images(
    source: TaskSource, queries: int, works: Callable[..., bool]
) -> str | None:
    """Both settings lower: as many queries as the smallest class that there is allows."""
    counts = [count for count in _images_of_classes(source) if count]
    if not counts:
        return None
    least = min(counts)
    most = _largest(queries - 1, lambda number: works(queries=number, min_samples=least))
    if not most:
        return None
    return f"evaluation.min_images = {least} together with evaluation.queries = {most}"


def _largest(upper: int, works: Callable[[int], bool]) -> int:
    """The largest number from 1 to `upper` that works; 0 where none does."""
    low = 0
    while low < upper:
        middle = (low + upper + 1) // 2
        low, upper = (middle, upper) if works(middle) else (low, middle - 1)
    return low

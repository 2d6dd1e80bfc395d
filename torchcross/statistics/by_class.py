"""Results by class and subgroup, from predictions of single images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from torchcross._kit.argument_checks import as_int
from torchcross._kit.arrays import Indices
from torchcross._kit.counts import count_text
from torchcross.errors import InputError
from torchcross.records.predictions import Predictions
from torchcross.statistics.draws import Draws
from torchcross.statistics.image_level import IMAGES
from torchcross.statistics.image_shares import (
    AUROC,
    MEASURES,
    SENSITIVITY_AT,
    SPECIFICITY,
    Mask,
    QueryImages,
    Threshold,
    query_images,
)
from torchcross.statistics.image_values import image_values
from torchcross.statistics.intervals import Interval, in_bounds, join_notes, mean_interval
from torchcross.statistics.seeds import hierarchical_interval, interval_of_seeds

FEWEST_IMAGES: Final = 10
_UNIT: Final = (0.0, 1.0)


@final
@dataclass(frozen=True, eq=False)
class Subgroups:
    """The groups of one column: `codes[i]` is the place in `names` of image i's group, or -1.

    >>> from torchcross.statistics import Subgroups
    >>> sex = Subgroups("sex", ("female", "male"), np.array([0, 1, 1, -1]))
    >>> sex.names[sex.codes[1]]
    'male'
    """

    column: str
    names: tuple[str, ...]
    codes: Indices

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes)
        is_row = codes.ndim == 1 and (codes.dtype.kind in "iu" or not codes.size)
        if not is_row or (codes.size and not -1 <= codes.min() <= codes.max() < len(self.names)):
            raise InputError(
                f"the codes of the subgroups {self.column!r} are no row of numbers from -1 to"
                f" {len(self.names) - 1}; give the place in names of each image's group"
            )


@final
@dataclass(frozen=True, slots=True)
class ClassValue:
    """One measure of one class, over all query images or over those of one subgroup.

    column, group  the subgroup; both empty for all images
    measure        one of `MEASURES`
    interval       of the measure; its mean is NaN where the value is refused, and its note says why
    with_class     how many different images have the class, of those in the query of an episode
    without_class  how many do not have it
    subjects       how many subjects they are of; None where subjects are not known
    predictions    how many predictions the value is of, over all episodes and training seeds
    """

    target: str
    algorithm: str
    shots: int
    class_name: str
    column: str
    group: str
    measure: str
    interval: Interval
    with_class: int
    without_class: int
    subjects: int | None
    predictions: int


def class_values(
    predictions: Iterable[Predictions],
    *,
    subgroups: Sequence[Subgroups] = (),
    specificity: float = 0.9,
    threshold: Threshold = "episode",
    method: str = "t",
    level: float = 0.95,
    draws: Draws | None = None,
    fewest: int = FEWEST_IMAGES,
) -> list[ClassValue]:
    """Every measure of every class, over all images and in each subgroup.

    `predictions` are those of one algorithm on one target at one number of shots, one for each
    training seed. Each class is set against all others; of two classes, the second against the
    first. The measures are shares over all episodes:

    auroc                       of the pairs of an image with the class and one without, both in one
                                episode and in the subgroup, those that the log-odds put in order
    sensitivity                 of the images with the class, those that are decided to have it
    specificity                 of those without it, those that are decided not to have it
    sensitivity_at_specificity  of the images with the class, those above the threshold that the
                                share `specificity` of all images without it lies below. The
                                threshold is chosen on the query: of each episode, or of all
                                episodes together with threshold="pooled". It is the same for every
                                subgroup

    Intervals are those of `mean_interval` with `method`, `level` and `draws`, of the linearised
    share; with several training seeds, of `hierarchical_interval`. Of one episode, such as a test
    split, they are over its subjects, or its images where subjects are not known. In a subgroup, a
    measure with fewer than `fewest` different images on a side that it needs is refused. A training
    seed of which no episode has finite predictions is left out, and notes say so.
    """
    several = list(predictions)
    check_alike(several)
    fewest = as_int("fewest", fewest)
    first = several[0]
    tables, note = _with_episodes([query_images(each, specificity, threshold) for each in several])
    estimate = _Estimate(tables, method, level, draws)
    values = []
    for column, group, codes in _groups(subgroups):
        chosen = [_members(table, codes, column) for table in tables]
        for place in _reported_classes(first):
            counts = estimate.counts(place, chosen)
            for measure in MEASURES:
                reason = _refusal(measure, counts, fewest) if column else ""
                interval, trials = estimate.interval(measure, place, chosen, reason)
                interval = replace(interval, note=join_notes(interval.note, note))
                values.append(
                    ClassValue(
                        target=first.source,
                        algorithm=first.algorithm,
                        shots=first.shots,
                        class_name=first.classes[place],
                        column=column,
                        group=group,
                        measure=measure,
                        interval=interval,
                        with_class=counts[0],
                        without_class=counts[1],
                        subjects=estimate.subjects(place, chosen),
                        predictions=trials,
                    )
                )
    return values


def _with_episodes(tables: Sequence[QueryImages]) -> tuple[Sequence[QueryImages], str]:
    """(those with an episode, what is said of the others); all where none has one."""
    usable = [table for table in tables if len(table.episodes)]
    if not usable or len(usable) == len(tables):
        return tables, ""
    seeds = count_text(len(tables), "training seeds")
    return usable, f"{len(tables) - len(usable)} of {seeds} left out: no finite predictions"


def check_alike(several: Sequence[Predictions]) -> None:
    """Refuse predictions that are not of one cell but for the training seed."""
    if not several:
        raise InputError("there are no predictions; give those of one algorithm on one target")
    keys = {(each.source, each.classes, each.algorithm, each.shots) for each in several}
    if len(keys) > 1:
        raise InputError(
            f"predictions are of {sorted((a, c, k) for a, _, c, k in keys)}; give those of one"
            " algorithm on one target at one number of shots"
        )
    seeds = [each.seed for each in several]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"predictions are of the training seeds {seeds}; give each seed once")


def _reported_classes(predictions: Predictions) -> Sequence[int]:
    """All classes; of two that exclude each other the second says it all."""
    count = len(predictions.classes)
    return (1,) if count == 2 and predictions.labels.ndim == 1 else range(count)


def _groups(subgroups: Sequence[Subgroups]) -> Iterator[tuple[str, str, Mask]]:
    """(column, group, which images of the source it has); first all images."""
    yield "", "", np.empty(0, dtype=np.bool_)
    for each in subgroups:
        for code, name in enumerate(each.names):
            yield each.column, name, np.asarray(each.codes) == code


def _members(table: QueryImages, codes: Mask, column: str) -> Mask:
    if not column:
        return np.ones(len(table.images), dtype=np.bool_)
    if len(table.images) and table.images.max() >= len(codes):
        raise InputError(
            f"the subgroups {column!r} have {len(codes)} images, and there are predictions of image"
            f" {table.images.max()}; give the subgroups of the whole source"
        )
    return codes[table.images]


def _refusal(measure: str, counts: tuple[int, int], fewest: int) -> str:
    """Why a measure is refused in a subgroup; "" where it is not."""
    with_class, without_class = counts
    needed = {"with": with_class, "without": without_class}
    if measure == SPECIFICITY:
        needed.pop("with")
    elif measure != AUROC:
        needed.pop("without")
    few = [f"{count} {side} the class" for side, count in needed.items() if count < fewest]
    return f"too few images: {', '.join(few)} (at least {fewest} are needed)" if few else ""


@final
@dataclass(frozen=True, eq=False)
class _Estimate:
    """Shares of all training seeds together, with intervals."""

    tables: Sequence[QueryImages]
    method: str
    level: float
    draws: Draws | None

    def counts(self, column: int, chosen: Sequence[Mask]) -> tuple[int, int]:
        """How many different images with the class, and without it."""
        return self._different(column, chosen, 1), self._different(column, chosen, 0)

    def _different(self, column: int, chosen: Sequence[Mask], truth: int) -> int:
        images = [
            table.images[rows & (table.truth[:, column] == truth)]
            for table, rows in zip(self.tables, chosen, strict=True)
        ]
        return len(np.unique(np.concatenate(images)))

    def subjects(self, column: int, chosen: Sequence[Mask]) -> int | None:
        several = []
        for table, rows in zip(self.tables, chosen, strict=True):
            if table.subjects is None:
                return None
            several.append(table.subjects[rows & (table.truth[:, column] >= 0)])
        return len(np.unique(np.concatenate(several)))

    def interval(
        self, measure: str, column: int, chosen: Sequence[Mask], reason: str
    ) -> tuple[Interval, int]:
        """(the share with its interval, how many trials it has)."""
        sums = [
            table.sums(measure, column, rows)
            for table, rows in zip(self.tables, chosen, strict=True)
        ]
        total = sum(float(trials.sum()) for _, trials in sums)
        if not reason and not total:
            needs_both = measure in (AUROC, SENSITIVITY_AT)
            reason = "no episode has images on both sides" if needs_both else "no image"
        if reason:
            nothing = Interval(math.nan, math.nan, math.nan, 0, self.method, self.level, 0, reason)
            return nothing, int(total)
        if all(len(table.episodes) == 1 for table in self.tables):
            return self._over_images(measure, column, chosen), int(total)
        share = sum(float(hits.sum()) for hits, _ in sums) / total
        # Values whose mean is the share, and whose spread is that of the ratio to first order.
        cells = sum(len(trials) for _, trials in sums)
        values = [share + cells * (hits - share * trials) / total for hits, trials in sums]
        interval = interval_of_seeds(
            values,
            [table.episodes for table in self.tables],
            method=self.method,
            level=self.level,
            draws=self.draws,
        )
        return in_bounds(interval, _UNIT), int(total)

    def _over_images(self, measure: str, column: int, chosen: Sequence[Mask]) -> Interval:
        """Of one set of images, such as a test split: over its subjects, or its images."""
        values = [
            image_values(table, measure, column, rows)
            for table, rows in zip(self.tables, chosen, strict=True)
        ]
        if len(values) == 1:
            interval = mean_interval(values[0], method=self.method, level=self.level)
        else:
            shared = len({len(each) for each in values}) == 1
            interval = hierarchical_interval(values, shared_episodes=shared, level=self.level)
        return replace(in_bounds(interval, _UNIT), over=IMAGES)

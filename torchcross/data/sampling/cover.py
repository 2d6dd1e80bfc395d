"""Plans over yes/no labels: at least k samples with and k without each chosen label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Stream, Words, distinct, distinct_rows
from torchcross.data.sampling.as_they_come import fewer_natural_shots
from torchcross.data.sampling.class_index import ClassIndex, cover_supply
from torchcross.data.sampling.feasibility import Eligible, eligible_classes
from torchcross.data.sampling.request import MetaDatasetShots, Request
from torchcross.data.sampling.shuffle import Used, any_order, choose
from torchcross.data.sampling.subject_division import choose_support_subjects
from torchcross.data.sampling.subject_ledger import SamplePool, SubjectLedger
from torchcross.data.sources.source import TaskSource
from torchcross.errors import InfeasibleError
from torchcross.plan import EpisodePlan
from torchcross.targets.strata import Cover

Answers = NDArray[np.signedinteger[Any]]
_GUARD = 1 << 31
_SPARE = 6


@dataclass(frozen=True, eq=False)
class _Limits:
    """What a side may not use.

    used      samples that are used up
    barred    subjects that stand on the other side
    opposite  samples of the other side, with their subjects
    """

    used: Used = None
    barred: NDArray[np.bool_] | None = None
    opposite: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class CoverDrawer:
    """Draws k samples with and k without each label, and takes out what can go, in random order."""

    exclusive = False

    def __init__(self, request: Request, source: TaskSource, strata: Cover, stream: Stream) -> None:
        if isinstance(request.shots, MetaDatasetShots):
            raise InfeasibleError(
                f"source {source.name!r} has several labels per sample; Meta-Dataset shots are"
                " defined for exclusive classes. Give shots as a number or a pair"
            )
        self.request = request
        self.name = source.name
        self.stream = stream
        self.answers = strata.answers
        self._labels = strata.num_classes
        self.groups = source.groups if request.groups == "respect" else None
        self.index = ClassIndex.of_cover(strata)
        self.ledger = None if self.groups is None else SubjectLedger(self.index, self.groups)
        self.eligible: Eligible = eligible_classes(
            request,
            cover_supply(self.index, self.groups, self.answers),
            source.task.target,
            source.name,
        )

    def fast(self) -> None:
        """Return nothing: there is no faster way."""

    def attempt(
        self, number: int, attempt: int, used: Used = None, classes: tuple[int, ...] | None = None
    ) -> EpisodePlan | None:
        """Episode `number` without the `used` samples.

        None where the support leaves too little for the query.
        """
        words = self.stream.words(number, attempt)
        low, high = self.eligible.ways
        ways = low + words.below(high - low + 1)
        if classes is None:
            classes = choose(words, self.eligible.classes, ways)
        fewest, most = self.request.shot_range
        shots = fewest + words.below(most - fewest + 1)
        for_support = for_query = _Limits(used)
        if self.ledger is not None and attempt:
            # A free draw touches many subjects. Where it failed, few of them are set apart for the
            # support.
            strata, need = self._strata(classes).tolist(), shots
            if self.request.support == "natural":
                strata, need = [-1], shots * len(classes)
            owned = self.ledger.count_samples(strata, used)
            in_support = choose_support_subjects(words, owned, need)
            if in_support is None:
                return None
            for_support, for_query = _Limits(used, ~in_support), _Limits(used, in_support)
        if self.request.support == "natural":
            support = self._draw_natural(words, for_support, classes, shots * len(classes))
        else:
            support = self._draw_balanced(words, for_support, classes, shots)
        if support is None:
            return None
        for_query = replace(for_query, opposite=support)
        queries = self.request.queries
        if self.request.query == "natural":
            query = self._draw_natural(words, for_query, classes, queries * len(classes))
        else:
            query = self._draw_balanced(words, for_query, classes, queries)
        if query is None:
            return None
        return self.plan_of(number, classes, shots, support, query)

    def _strata(self, classes: Sequence[int]) -> Indices:
        """The strata of samples without each label, then of samples with it."""
        return np.array([*classes, *(self._labels + c for c in classes)])

    def _draw_balanced(
        self, words: Words, limits: _Limits, classes: Sequence[int], each: int
    ) -> Indices | None:
        """Samples within the limits that cover every answer of every label `each` times."""
        strata = self._strata(classes)
        counts = self.index.counts[strata]
        if counts.min() < each:
            return None
        width = each + min(len(limits.opposite), _SPARE)
        places = distinct_rows(
            words.bulk(len(strata) * width).reshape(len(strata), width), np.maximum(counts, width)
        )
        inside = places < counts[:, None]
        drawn = self.index.order[np.where(inside, places, 0) + self.index.starts[strata][:, None]]
        usable = inside & ~self._is_barred(drawn, limits)
        rank = usable.cumsum(axis=1)
        for row in np.flatnonzero(rank[:, -1] < each):
            # Too few of those looked at are usable: draw from all that are.
            samples = self._draw_free(words, limits, int(strata[row]), each)
            if samples is None:
                return None
            drawn[row, :each], usable[row, :each], usable[row, each:] = samples, True, False
        candidates = np.unique(drawn[usable & (usable.cumsum(axis=1) <= each)]).astype(np.int64)
        if not self.request.minimal:
            return candidates
        order = np.argsort(words.bulk(len(candidates)), kind="stable")
        answers = self.answers[candidates][:, np.array(classes)]
        return candidates[minimal_cover(answers, each, order.tolist())]

    def _is_barred(self, samples: NDArray[Any], limits: _Limits) -> NDArray[np.bool_]:
        """Which samples the limits forbid."""
        if self.groups is None:
            barred = np.isin(samples, limits.opposite)
        else:
            subjects = self.groups[samples]
            barred = np.isin(subjects, self.groups[limits.opposite])
            if limits.barred is not None:
                barred |= limits.barred[subjects]
        return barred if limits.used is None else barred | limits.used[samples]

    def _draw_natural(
        self, words: Words, limits: _Limits, classes: Sequence[int], count: int
    ) -> Indices | None:
        """Any samples within the limits with a known answer to one of the labels.

        A few more than `count` are looked at; where they do not suffice, all of them.
        """
        everyone, columns = self.index.members(-1), np.array(classes)
        window = min(count + len(limits.opposite) + _SPARE, len(everyone))
        drawn = everyone[distinct(words.bulk(window).tolist(), len(everyone))]
        known = (self.answers[drawn][:, columns] >= 0).any(axis=1)
        samples: NDArray[Any] | None = drawn[known & ~self._is_barred(drawn, limits)][:count]
        if samples is None or len(samples) < count:
            samples = self._draw_known(words, limits, classes, count)
        return None if samples is None else np.sort(samples).astype(np.int64)

    def _draw_known(
        self, words: Words, limits: _Limits, classes: Sequence[int], count: int
    ) -> NDArray[Any] | None:
        """`count` samples within the limits with a known answer; None where there are too few.

        A sample with several answers stands in several strata and counts in the first of them. The
        strata together are only a few times as large as what counts in them.
        """
        counts, first_label = self.index.counts, classes[0]
        complete = counts[-1] == counts[first_label] + counts[self._labels + first_label]
        strata = [-1] if complete else self._strata(classes).tolist()
        pool = self._pool(limits, strata)
        looked_at = len(classes) * (count + len(limits.opposite) + _SPARE)
        while True:
            looked_at = min(2 * looked_at, pool.size)
            drawn = pool.draw(words, looked_at)
            if drawn is None:
                return None
            samples, list_of = drawn
            if not complete:
                first = (self.answers[samples][:, np.array(classes)] >= 0).argmax(axis=1)
                samples = samples[first == list_of % len(classes)]
            free = samples[~self._is_barred(samples, limits)]
            if len(free) >= count:
                return free[:count]
            if looked_at == pool.size:
                return None

    def _pool(self, limits: _Limits, strata: Sequence[int]) -> SamplePool:
        """The samples of some strata, without those of barred subjects and of the other side's."""
        if self.ledger is None:
            return SamplePool.of_lists([self.index.members(stratum) for stratum in strata])
        allowed = np.ones(self.ledger.count, dtype=bool)
        if limits.barred is not None:
            allowed = ~limits.barred
        allowed[self.ledger.groups[limits.opposite]] = False
        return self.ledger.pool(strata, allowed, limits.used)

    def _draw_free(
        self, words: Words, limits: _Limits, stratum: int, count: int
    ) -> NDArray[Any] | None:
        """`count` samples of a stratum within the limits; None where there are too few."""
        if self.ledger is not None:
            drawn = self._pool(limits, [stratum]).draw(words, count)
            return None if drawn is None else drawn[0]
        members = self.index.members(stratum)
        free = members[~self._is_barred(members, limits)]
        if len(free) < count:
            return None
        return free[distinct(words.bulk(count).tolist(), len(free))]

    def fewer_shots(self, plan: EpisodePlan, shots: int, words: Words) -> EpisodePlan:
        """The same episode with a part of its support that covers every label `shots` times.

        Of a natural support it is a part, drawn without a look at labels.
        """
        if self.request.support == "natural":
            return fewer_natural_shots(plan, shots, words)
        order = any_order(words, len(plan.support))
        if self.request.minimal:
            keep = minimal_cover(plan.support_labels, shots, order)
        else:
            labels = plan.support_labels[order]
            first = [(labels == answer).cumsum(axis=0) <= shots for answer in (0, 1)]
            wanted = (first[0] & (labels == 0)) | (first[1] & (labels == 1))
            keep = np.sort(np.array(order)[wanted.any(axis=1)]).tolist()
        return self.plan_of(plan.index, plan.classes, shots, plan.support[keep], plan.query)

    def plan_of(
        self, number: int, classes: tuple[int, ...], shots: int, support: Indices, query: Indices
    ) -> EpisodePlan:
        columns = np.array(classes)
        support_labels = self.answers[support][:, columns].astype(np.int64)
        query_labels = self.answers[query][:, columns].astype(np.int64)
        return EpisodePlan(
            number,
            self.name,
            classes,
            shots,
            read_only(support),
            read_only(support_labels),
            read_only(query),
            read_only(query_labels),
        )


def minimal_cover(answers: Answers, least: int, order: Sequence[int]) -> list[int]:
    """Positions of the samples that stay when every sample goes that can, in this order.

    Each label keeps `least` samples with and `least` without it. No sample that stays can be left
    out: a removal only makes others more needed.

    All labels are counted at once in the fields of one big integer, 32 bits each with a guard bit
    on top. A subtraction that clears a guard bit would leave some label short.
    """
    votes = np.concatenate([answers == 0, answers == 1], axis=1).astype("<u4")
    slack = votes.sum(axis=0, dtype=np.int64) - least
    if (slack < 0).any():
        raise InfeasibleError(
            f"{len(answers)} candidates do not hold {least} samples with and without every label"
        )
    guards = int.from_bytes(np.full(votes.shape[1], _GUARD, dtype="<u4").tobytes(), "little")
    state = int.from_bytes((slack + _GUARD).astype("<u4").tobytes(), "little")
    raw, width = votes.tobytes(), 4 * votes.shape[1]
    needed = []
    for position in order:
        after = state - int.from_bytes(raw[position * width : (position + 1) * width], "little")
        if after & guards == guards:
            state = after
        else:
            needed.append(position)
    return sorted(needed)

"""Plans over yes/no labels: at least k samples with and k without every chosen label, and no sample too many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._arrays import Indices, frozen
from torchcross.data._shuffle import Used, any_order, choose
from torchcross.data.feasibility import Eligible, eligible_classes
from torchcross.data.index import ClassIndex, cover_supply
from torchcross.data.request import MetaDatasetShots, Request
from torchcross.data.source import TaskSource
from torchcross.data.subjects import split
from torchcross.data.words import Stream, Words, distinct, distinct_rows
from torchcross.errors import InfeasibleError
from torchcross.plan import EpisodePlan
from torchcross.targets.strata import Cover

__all__ = ["CoverDrawer", "minimal_cover"]

Answers = NDArray[np.signedinteger[Any]]
_GUARD = 1 << 31
_SPARE = 6


class CoverDrawer:
    """Draws k samples with and k without each label, unites them, and takes out, in random order, whatever can go."""

    exclusive = False

    def __init__(self, request: Request, source: TaskSource, strata: Cover, stream: Stream) -> None:
        if isinstance(request.shots, MetaDatasetShots):
            raise InfeasibleError(
                f"source {source.name!r} has several labels per sample; Meta-Dataset shots are defined for exclusive "
                "classes. Give shots as a number or a pair"
            )
        self.request = request
        self.name = source.name
        self.stream = stream
        self.answers = strata.answers
        self.groups = source.groups if request.groups == "respect" else None
        self.index = ClassIndex.of_cover(strata)
        self.eligible: Eligible = eligible_classes(
            request, cover_supply(self.index, self.groups), source.task.target, source.name
        )

    def fast(self) -> None:
        """There is no faster way."""

    def attempt(
        self, number: int, attempt: int, used: Used = None, classes: tuple[int, ...] | None = None
    ) -> EpisodePlan | None:
        """Episode `number` without the `used` samples, or None where the support leaves too little for the query."""
        words = self.stream.words(number, attempt)
        low, high = self.eligible.ways
        ways = low + words.below(high - low + 1)
        if classes is None:
            classes = choose(words, self.eligible.classes, ways)
        fewest, most = self.request.shot_range
        shots = fewest + words.below(most - fewest + 1)
        for_support, for_query = used, used
        if self.groups is not None and attempt:
            # A free draw touches many subjects; where it failed, few are set apart for the support.
            apart = split(words, self.groups, [self.index.members(s) for s in self._strata(classes)], used, shots)
            if apart is None:
                return None
            for_support, for_query = apart
        support = self._balanced(words, for_support, classes, shots, np.zeros(0, dtype=np.int64))
        if support is None:
            return None
        if self.request.query == "natural":
            query = self._natural(words, for_query, self.request.queries * len(classes), support)
        else:
            query = self._balanced(words, for_query, classes, self.request.queries, support)
        return None if query is None else self.plan_of(number, classes, shots, support, query)

    def _strata(self, classes: Sequence[int]) -> Indices:
        """The strata of samples without each label, then of samples with it."""
        return np.array([*classes, *(self.answers.shape[1] + c for c in classes)])

    def _balanced(self, words: Words, used: Used, classes: Sequence[int], each: int, taken: Indices) -> Indices | None:
        """Samples covering every answer of every label `each` times, none of them (or of their subjects) taken."""
        strata = self._strata(classes)
        counts = self.index.counts[strata]
        if counts.min() < each:
            return None
        width = each + min(len(taken), _SPARE)
        places = distinct_rows(words.bulk(len(strata) * width).reshape(len(strata), width), np.maximum(counts, width))
        inside = places < counts[:, None]
        drawn = self.index.order[np.where(inside, places, 0) + self.index.starts[strata][:, None]]
        usable = inside & ~self._blocked(drawn, used, taken)
        rank = usable.cumsum(axis=1)
        for row in np.flatnonzero(rank[:, -1] < each):
            again = self._draw_free(words, used, self.index.members(strata[row]), each, taken)
            if again is None:
                return None
            drawn[row, :each], usable[row, :each], usable[row, each:] = again, True, False
        candidates = np.unique(drawn[usable & (usable.cumsum(axis=1) <= each)]).astype(np.int64)
        if not self.request.minimal:
            return candidates
        order = np.argsort(words.bulk(len(candidates)), kind="stable")
        return candidates[minimal_cover(self.answers[candidates][:, np.array(classes)], each, order.tolist())]

    def _blocked(self, samples: NDArray[Any], used: Used, taken: Indices) -> NDArray[np.bool_]:
        owner = self.groups
        blocked = np.isin(samples, taken) if owner is None else np.isin(owner[samples], owner[taken])
        return blocked if used is None else blocked | used[samples]

    def _natural(self, words: Words, used: Used, wanted: int, taken: Indices) -> Indices | None:
        """Any samples that are left, as they come: a few more than wanted are looked at, or else all of them."""
        everyone = self.index.members(-1)
        window = min(wanted + len(taken) + _SPARE, len(everyone))
        drawn = np.array(distinct(words.bulk(window).tolist(), len(everyone)))
        free = drawn[~self._blocked(drawn, used, taken)][:wanted]
        found = free if len(free) == wanted else self._draw_free(words, used, everyone, wanted, taken)
        return None if found is None else np.sort(found).astype(np.int64)

    def _draw_free(
        self, words: Words, used: Used, members: NDArray[Any], wanted: int, taken: Indices
    ) -> NDArray[Any] | None:
        """`wanted` members, none of them (or of their subjects) taken; None where there are too few."""
        free = members[~self._blocked(members, used, taken)]
        if len(free) < wanted:
            return None
        return free[distinct(words.bulk(wanted).tolist(), len(free))]

    def fewer_shots(self, plan: EpisodePlan, shots: int, words: Words) -> EpisodePlan:
        """The same episode with a part of its support that covers every label `shots` times."""
        order = any_order(words, len(plan.support))
        if self.request.minimal:
            keep = minimal_cover(plan.support_labels, shots, order)
        else:
            shuffled_labels = plan.support_labels[order]
            first = [(shuffled_labels == answer).cumsum(axis=0) <= shots for answer in (0, 1)]
            wanted = (first[0] & (shuffled_labels == 0)) | (first[1] & (shuffled_labels == 1))
            keep = np.sort(np.array(order)[wanted.any(axis=1)]).tolist()
        return self.plan_of(plan.index, plan.classes, shots, plan.support[keep], plan.query)

    def plan_of(
        self, number: int, classes: tuple[int, ...], shots: int, support: Indices, query: Indices
    ) -> EpisodePlan:
        chosen = np.array(classes)
        support_labels = self.answers[support][:, chosen].astype(np.int64)
        query_labels = self.answers[query][:, chosen].astype(np.int64)
        return EpisodePlan(
            number,
            self.name,
            classes,
            shots,
            frozen(support),
            frozen(support_labels),
            frozen(query),
            frozen(query_labels),
        )


def minimal_cover(answers: Answers, least: int, order: Sequence[int]) -> list[int]:
    """Positions of the samples that stay when, in this order, every sample goes that can: each label keeps `least`
    samples with and `least` without it. Nothing that stays can be left out, since removals only make others needed.

    All labels are counted at once in the fields of one big integer, 32 bits each with a guard bit on top: a subtraction
    that clears a guard bit would have left some label short.
    """
    votes = np.concatenate([answers == 0, answers == 1], axis=1).astype("<u4")
    slack = votes.sum(axis=0, dtype=np.int64) - least
    if (slack < 0).any():
        raise InfeasibleError(f"{len(answers)} candidates do not hold {least} samples with and without every label")
    guards = int.from_bytes(np.full(votes.shape[1], _GUARD, dtype="<u4").tobytes(), "little")
    state = int.from_bytes((slack + _GUARD).astype("<u4").tobytes(), "little")
    raw, width = votes.tobytes(), 4 * votes.shape[1]
    kept = []
    for position in order:
        after = state - int.from_bytes(raw[position * width : (position + 1) * width], "little")
        if after & guards == guards:
            state = after
        else:
            kept.append(position)
    return sorted(kept)

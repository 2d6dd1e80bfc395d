"""Plans over yes/no labels: at least k samples with and k without every chosen label, and no sample
too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Stream, Words, distinct, distinct_rows
from torchcross.data.sampling.class_index import ClassIndex, cover_supply
from torchcross.data.sampling.feasibility import Eligible, eligible_classes
from torchcross.data.sampling.request import MetaDatasetShots, Request
from torchcross.data.sampling.shuffle import Used, any_order, choose
from torchcross.data.sampling.subject_division import split
from torchcross.data.sampling.subject_ledger import Owners, Pile
from torchcross.data.sources.source import TaskSource
from torchcross.errors import InfeasibleError
from torchcross.plan import EpisodePlan
from torchcross.targets.strata import Cover

__all__ = ["CoverDrawer", "minimal_cover"]

Answers = NDArray[np.signedinteger[Any]]
_GUARD = 1 << 31
_SPARE = 6


@dataclass(frozen=True, eq=False)
class _Reach:
    """What a side may not use: samples used up, barred subjects, and what is taken (with its
    subjects).
    """

    used: Used = None
    barred: NDArray[np.bool_] | None = None
    taken: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class CoverDrawer:
    """Draws k samples with and k without each label, unites them, and takes out, in random order,
    whatever can go.
    """

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
        self.owners = None if self.groups is None else Owners(self.index, self.groups)
        self.eligible: Eligible = eligible_classes(
            request,
            cover_supply(self.index, self.groups, self.answers),
            source.task.target,
            source.name,
        )

    def fast(self) -> None:
        """There is no faster way."""

    def attempt(
        self, number: int, attempt: int, used: Used = None, classes: tuple[int, ...] | None = None
    ) -> EpisodePlan | None:
        """Episode `number` without the `used` samples, or None where the support leaves too little
        for the query.
        """
        words = self.stream.words(number, attempt)
        low, high = self.eligible.ways
        ways = low + words.below(high - low + 1)
        if classes is None:
            classes = choose(words, self.eligible.classes, ways)
        fewest, most = self.request.shot_range
        shots = fewest + words.below(most - fewest + 1)
        for_support = for_query = _Reach(used)
        if self.owners is not None and attempt:
            # A free draw touches many subjects; where it failed, few are set apart for the support.
            apart = split(words, self.owners.owned(self._strata(classes).tolist(), used), shots)
            if apart is None:
                return None
            for_support, for_query = _Reach(used, ~apart), _Reach(used, apart)
        support = self._balanced(words, for_support, classes, shots)
        if support is None:
            return None
        for_query = replace(for_query, taken=support)
        if self.request.query == "natural":
            query = self._natural(words, for_query, classes, self.request.queries * len(classes))
        else:
            query = self._balanced(words, for_query, classes, self.request.queries)
        return None if query is None else self.plan_of(number, classes, shots, support, query)

    def _strata(self, classes: Sequence[int]) -> Indices:
        """The strata of samples without each label, then of samples with it."""
        return np.array([*classes, *(self._labels + c for c in classes)])

    def _balanced(
        self, words: Words, reach: _Reach, classes: Sequence[int], each: int
    ) -> Indices | None:
        """Samples within reach that cover every answer of every label `each` times."""
        strata = self._strata(classes)
        counts = self.index.counts[strata]
        if counts.min() < each:
            return None
        width = each + min(len(reach.taken), _SPARE)
        places = distinct_rows(
            words.bulk(len(strata) * width).reshape(len(strata), width), np.maximum(counts, width)
        )
        inside = places < counts[:, None]
        drawn = self.index.order[np.where(inside, places, 0) + self.index.starts[strata][:, None]]
        usable = inside & ~self._blocked(drawn, reach)
        rank = usable.cumsum(axis=1)
        for row in np.flatnonzero(rank[:, -1] < each):
            again = self._draw_free(words, reach, int(strata[row]), each)
            if again is None:
                return None
            drawn[row, :each], usable[row, :each], usable[row, each:] = again, True, False
        candidates = np.unique(drawn[usable & (usable.cumsum(axis=1) <= each)]).astype(np.int64)
        if not self.request.minimal:
            return candidates
        order = np.argsort(words.bulk(len(candidates)), kind="stable")
        return candidates[
            minimal_cover(self.answers[candidates][:, np.array(classes)], each, order.tolist())
        ]

    def _blocked(self, samples: NDArray[Any], reach: _Reach) -> NDArray[np.bool_]:
        owner, taken = self.groups, reach.taken
        if owner is None:
            blocked = np.isin(samples, taken)
        else:
            blocked = np.isin(owner[samples], owner[taken])
            if reach.barred is not None:
                blocked |= reach.barred[owner[samples]]
        return blocked if reach.used is None else blocked | reach.used[samples]

    def _natural(
        self, words: Words, reach: _Reach, classes: Sequence[int], wanted: int
    ) -> Indices | None:
        """Any samples within reach with a known answer to one of the labels: a few more than wanted
        are looked at, or else all of them.
        """
        everyone, chosen = self.index.members(-1), np.array(classes)
        window = min(wanted + len(reach.taken) + _SPARE, len(everyone))
        drawn = everyone[distinct(words.bulk(window).tolist(), len(everyone))]
        known = (self.answers[drawn][:, chosen] >= 0).any(axis=1)
        free = drawn[known & ~self._blocked(drawn, reach)][:wanted]
        found = free if len(free) == wanted else self._draw_known(words, reach, classes, wanted)
        return None if found is None else np.sort(found).astype(np.int64)

    def _draw_known(
        self, words: Words, reach: _Reach, classes: Sequence[int], wanted: int
    ) -> NDArray[Any] | None:
        """`wanted` samples within reach with a known answer. A sample with several stands in
        several strata, and counts where its first one is; the strata together are few times as
        large as what counts in them.
        """
        counts, first_label = self.index.counts, classes[0]
        complete = counts[-1] == counts[first_label] + counts[self._labels + first_label]
        strata = [-1] if complete else self._strata(classes).tolist()
        pile = self._pile(reach, strata)
        looked_at = len(classes) * (wanted + len(reach.taken) + _SPARE)
        while True:
            looked_at = min(2 * looked_at, pile.size)
            drawn = pile.draw(words, looked_at)
            if drawn is None:
                return None
            samples, which = drawn
            if not complete:
                first = (self.answers[samples][:, np.array(classes)] >= 0).argmax(axis=1)
                samples = samples[first == which % len(classes)]
            free = samples[~self._blocked(samples, reach)]
            if len(free) >= wanted or looked_at == pile.size:
                return free[:wanted] if len(free) >= wanted else None

    def _pile(self, reach: _Reach, strata: Sequence[int]) -> Pile:
        """The samples of some strata that no barred subject owns, and no subject of what is
        taken.
        """
        if self.owners is None:
            return Pile.of([self.index.members(stratum) for stratum in strata])
        allowed = np.ones(self.owners.count, dtype=bool) if reach.barred is None else ~reach.barred
        allowed[self.owners.groups[reach.taken]] = False
        return self.owners.pile(strata, allowed, reach.used)

    def _draw_free(
        self, words: Words, reach: _Reach, stratum: int, wanted: int
    ) -> NDArray[Any] | None:
        """`wanted` samples of a stratum within reach; None where there are too few."""
        if self.owners is not None:
            drawn = self._pile(reach, [stratum]).draw(words, wanted)
            return None if drawn is None else drawn[0]
        members = self.index.members(stratum)
        free = members[~self._blocked(members, reach)]
        return (
            free[distinct(words.bulk(wanted).tolist(), len(free))] if len(free) >= wanted else None
        )

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
            read_only(support),
            read_only(support_labels),
            read_only(query),
            read_only(query_labels),
        )


def minimal_cover(answers: Answers, least: int, order: Sequence[int]) -> list[int]:
    """Positions of the samples that stay when, in this order, every sample goes that can: each
    label keeps `least` samples with and `least` without it. Nothing that stays can be left out,
    since removals only make others needed.

    All labels are counted at once in the fields of one big integer, 32 bits each with a guard bit
    on top: a subtraction that clears a guard bit would have left some label short.
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
    kept = []
    for position in order:
        after = state - int.from_bytes(raw[position * width : (position + 1) * width], "little")
        if after & guards == guards:
            state = after
        else:
            kept.append(position)
    return sorted(kept)

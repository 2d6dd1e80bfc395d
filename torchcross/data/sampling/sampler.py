"""Episodes as data: `sampler[i]` is a function of seed, index, request and labels alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from torchcross._kit.argument_checks import as_int, is_integer, repeated_names
from torchcross._kit.arrays import Indices
from torchcross._kit.randomness import Words
from torchcross.data.sampling.curve import ShotCurve
from torchcross.data.sampling.disjoint import lay_out_disjoint
from torchcross.data.sampling.mixture import SourceChoice, Weights
from torchcross.data.sampling.planner import SourcePlanner
from torchcross.data.sampling.request import Request, Shots, Ways, checked_seed
from torchcross.data.sources.source import TaskSource, source_named
from torchcross.errors import InputError, SubjectLeakWarning
from torchcross.plan import EpisodePlan, PlanBatch

_LAST_INDEX = 2**63 - 1
_STREAM_CHUNK = 256


class EpisodeSampler:
    """Plans of episodes from one source or a mixture of sources.

    ways         classes per episode: a number, a pair (fewest, most or None), or None for all
                 classes. Multi-class: classes; ordinal: grades, in their order; multi-label:
                 labels; binary: always both classes. Every source must have a fixed number; the
                 ends of a pair are bounds, and a source needs as many classes as the lower end
    shots        support samples per class: a number, a pair (drawn anew for every episode), or
                 `MetaDatasetShots()`. Multi-label: at least so many with and without each label
    queries      query samples per class; multi-label: at least so many with and without each label
    query        "balanced", or "natural": queries x ways samples as they come from the chosen
                 classes (multi-label: with a known answer to one of the chosen labels)
    support      "balanced", or "natural": shots x ways samples as they come from the chosen
                 classes, in the same manner. It may have none of a class: see
                 `EpisodePlan.missing_classes`
    groups       "respect" keeps subjects apart where a source has groups; "ignore" does not, and
                 warns
    minimal      multi-label: no sample of a set can be left out (True), or a set is the plain union
                 of what was drawn for every label
    min_samples  leave out classes with fewer samples (multi-label: labels whose rarer answer has
                 fewer): a number, or "enough" for what the request needs. `dropped_classes` names
                 them. Without it, a class that cannot serve is an error
    weights      how a mixture draws its sources: "uniform", "size" (samples with a known label), or
                 one weight per source
    disjoint     lay out exactly this many episodes that share no sample; the sampler then has a
                 length. They may share subjects: `groups` keeps support and query of one episode
                 apart, not episodes

    >>> from torchcross.data import toys
    >>> source = toys.multiclass(100, size=8)
    >>> sampler = tx.EpisodeSampler(source, ways=3, shots=2, queries=4, seed=0)
    >>> plan = sampler[17]
    >>> len(plan.support), len(plan.query)
    (6, 12)
    >>> bool((sampler[17].support == plan.support).all())
    True
    """

    def __init__(
        self,
        source: TaskSource | Iterable[TaskSource],
        *,
        ways: Ways = None,
        shots: Shots = 5,
        queries: int = 10,
        seed: int = 0,
        query: Literal["balanced", "natural"] = "balanced",
        support: Literal["balanced", "natural"] = "balanced",
        groups: Literal["respect", "ignore"] = "respect",
        minimal: bool = True,
        min_samples: int | Literal["enough"] | None = None,
        weights: Weights = "uniform",
        disjoint: int | None = None,
    ) -> None:
        self.request = Request(ways, shots, queries, query, groups, minimal, min_samples, support)
        self._seed = checked_seed(seed)
        self.sources = as_sources(source)
        self._weights: Weights = weights
        self._planners = {
            item.name: SourcePlanner(self.request, item, self.seed) for item in self.sources
        }
        self._choice = SourceChoice(self.sources, weights, self.seed, "mixture")
        self._layout = None
        if disjoint is not None:
            planners, count = list(self._planners.values()), as_int("disjoint", disjoint)
            self._layout = lay_out_disjoint(planners, self._choice, count, self.seed)
        self._warn_of_shared_subjects()

    def _warn_of_shared_subjects(self) -> None:
        grouped = [source.name for source in self.sources if source.groups is not None]
        if self.request.groups == "ignore" and grouped:
            warnings.warn(
                f"groups='ignore': subjects of {grouped} may stand in both support and query, which"
                " flatters every score; shared_subjects(plan) counts them",
                SubjectLeakWarning,
                stacklevel=3,
            )

    @property
    def seed(self) -> int:
        """The seed of all plans; for another seed, make another sampler."""
        return self._seed

    # -- plans -------------------------------------------------------------------------------------

    def __getitem__(self, index: int | np.integer[Any]) -> EpisodePlan:
        """The plan of episode `index`; the same value in any order, process and year."""
        number = self._episode_number(index)
        if self._layout is not None:
            return self._layout[number]
        # A single source needs no draw of a source.
        name = self.sources[0].name if len(self.sources) == 1 else self._choice.source(number)
        return self._planners[name].plan(number)

    def batch(self, indices: Iterable[int]) -> PlanBatch:
        """Several plans: the same values as one by one, several times as fast over a range."""
        if self._layout is not None or not isinstance(indices, range):
            return PlanBatch([self[index] for index in indices])
        if indices.step != 1 or len(indices) == 0:
            return PlanBatch([self[index] for index in indices])
        for end in (indices[0], indices[-1]):
            self._episode_number(end)
        if len(self.sources) == 1:
            return PlanBatch(self._planners[self.sources[0].name].plans(indices))
        names = self._choice.sources(indices)
        return PlanBatch(
            [self._planners[name].plan(index) for name, index in zip(names, indices, strict=True)]
        )

    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[EpisodePlan]:
        """Plans from `start` on (up to `stop`), drawn in batches and not kept."""
        end = self._end if stop is None else stop
        for first in range(start, end, _STREAM_CHUNK):
            yield from self.batch(range(first, min(first + _STREAM_CHUNK, end)))

    def __iter__(self) -> Iterator[EpisodePlan]:
        return self.stream()

    @property
    def _end(self) -> int:
        return _LAST_INDEX + 1 if self._layout is None else len(self._layout)

    def __len__(self) -> int:
        if self._layout is None:
            raise TypeError(
                "a sampler with replacement between episodes has no length; say how many episodes"
                " you want"
            )
        return len(self._layout)

    def _episode_number(self, index: int | np.integer[Any]) -> int:
        if not is_integer(index):
            raise TypeError(
                f"an episode's index is an integer, not {index!r}; for several plans, write"
                " sampler.batch(range(10))"
            )
        if not 0 <= index < self._end:
            raise IndexError(f"episode {index} is outside 0..{self._end - 1}")
        return int(index)

    # -- sources, requests and other shots ---------------------------------------------------------

    def source(self, name: str) -> TaskSource:
        """The source a plan names."""
        if name in self._planners:
            return self._planners[name].source
        return source_named(name, self.sources, "this sampler has")

    @property
    def dropped_classes(self) -> Mapping[str, tuple[str, ...]]:
        """For each source, the classes that `min_samples` left out."""
        dropped = {}
        for name, planner in self._planners.items():
            classes = planner.source.task.target.classes
            dropped[name] = tuple(classes[c] for c in planner.eligible.dropped)
        return dropped

    def shared_subjects(self, plan: EpisodePlan) -> int:
        """How many subjects stand in both support and query of a plan."""
        return shared_subjects(self.source(plan.source).groups, plan)

    def provenance(self) -> dict[str, Any]:
        """What the plans are drawn with, as plain values."""
        return {"seed": self.seed, "request": self.request.describe()}

    def curve(self, shots: Sequence[int], *, nested: bool = True, keep: int = 0) -> ShotCurve:
        """Plans at several numbers of shots. Nested: one query, fewer shots are part of more."""
        return ShotCurve(self, shots, nested=nested, keep=keep)

    def with_shots(self, shots: Shots) -> EpisodeSampler:
        """The same sampler with other shots."""
        request = self.request
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SubjectLeakWarning)  # said when this sampler was made
            return EpisodeSampler(
                self.sources,
                ways=request.ways,
                shots=shots,
                queries=request.queries,
                seed=self.seed,
                query=request.query,
                support=request.support,
                groups=request.groups,
                minimal=request.minimal,
                min_samples=request.min_samples,
                weights=self._weights,
                disjoint=None if self._layout is None else len(self._layout),
            )

    def fewer_shots(self, plan: EpisodePlan, shots: int, words: Words) -> EpisodePlan:
        """The same episode with a part of its support, as small as `shots` allow."""
        return self._planners[plan.source].drawer.fewer_shots(plan, shots, words)

    def __repr__(self) -> str:
        request = self.request
        names = ", ".join(repr(source.name) for source in self.sources[:3])
        if len(self.sources) > 3:
            names += ", ..."
        length = "" if self._layout is None else f", disjoint={len(self)}"
        if request.support == "natural":
            length = f", support='natural'{length}"
        return (
            f"EpisodeSampler([{names}], ways={request.ways}, shots={request.shots},"
            f" queries={request.queries}, seed={self.seed}{length})"
        )


def as_sources(source: TaskSource | Iterable[TaskSource]) -> tuple[TaskSource, ...]:
    """One source or several, as a tuple with distinct names."""
    sources: tuple[TaskSource, ...] = ()
    if isinstance(source, TaskSource):
        sources = (source,)
    elif isinstance(source, Iterable):
        sources = tuple(source)
    if not sources or not all(isinstance(item, TaskSource) for item in sources):
        raise InputError(f"expected a TaskSource or a non-empty list of them, not {source!r}")
    names = [item.name for item in sources]
    if repeated := repeated_names(names):
        raise InputError(
            f"several sources are named {repeated}; give each a name of its own (name=...)"
        )
    return sources


def shared_subjects(groups: Indices | None, plan: EpisodePlan) -> int:
    """How many subjects stand in both support and query; 0 where subjects are not known."""
    if groups is None:
        return 0
    return len(np.intersect1d(groups[plan.support], groups[plan.query]))

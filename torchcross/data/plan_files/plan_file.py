"""Plans in a file that a paper can ship: one .npz of plain arrays and a JSON header.

Layout (version 1). `header` holds UTF-8 JSON as bytes: {"format": "torchcross-plans", "version": 1,
"seed", "request" (and "curve", "nested", "shots" for one level of a curve), "sources": [{"name",
"task", "domain", "kind", "classes", "samples", "fingerprint"}], "plans": P}. For P plans in a row:

    index (P,)            number of the episode              source (P,)        position in
                          "sources"
    shots (P,)            k, or -1 where classes differ      sizes (P, 3)       classes, support and
                          query of each plan
    classes, support, query, support_labels, query_labels    all plans' arrays, flattened and joined

All arrays are int64, stored uncompressed. A multi-label plan has samples x classes label entries,
every other samples.

Plans with natural supports make version 2, which is the same but for this: `shots` is k where the
support has k x classes samples, and it may have none of a class.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.whole_files import open_whole
from torchcross.data.plan_files.reading import (
    COLUMNS,
    FORMAT,
    OF_A_RUN,
    checked_plans,
    matching_source,
    read_arrays,
    read_header,
    version_of,
)
from torchcross.data.sampling.sampler import as_sources, shared_subjects
from torchcross.data.sources.source import TaskSource, source_named
from torchcross.errors import InputError, SubjectLeakWarning
from torchcross.plan import EpisodePlan, PlanBatch

Arrays = dict[str, NDArray[np.int64]]

_OWN = ("format", "version", "sources", "plans", *OF_A_RUN)


class Savable(Protocol):
    """Plans to save: a sampler, one level of a shot curve, plans from another file."""

    @property
    def sources(self) -> Sequence[TaskSource]: ...
    def batch(self, indices: Any, /) -> Sequence[EpisodePlan]: ...
    def provenance(self) -> dict[str, Any]: ...


class PlanFile(Sequence[EpisodePlan]):
    """Plans read from a file, over the sources they were made for. Use it wherever a finite sampler
    goes.

    Addressed by row: `plans[0]` is the first that was saved, and `plans[0].index` the number of its
    episode.
    """

    def __init__(
        self, plans: PlanBatch, sources: Sequence[TaskSource], header: dict[str, Any]
    ) -> None:
        self.plans = plans
        self.sources = tuple(sources)
        self.header = header

    @overload
    def __getitem__(self, item: int) -> EpisodePlan: ...
    @overload
    def __getitem__(self, item: slice) -> PlanBatch: ...
    def __getitem__(self, item: int | slice) -> EpisodePlan | PlanBatch:
        return self.plans[item]

    def __len__(self) -> int:
        return len(self.plans)

    def batch(self, indices: Iterable[int]) -> PlanBatch:
        return PlanBatch([self.plans[index] for index in indices])

    def source(self, name: str) -> TaskSource:
        return source_named(name, self.sources, "these plans have")

    def shared_subjects(self, plan: EpisodePlan) -> int:
        """How many subjects stand in both support and query of a plan."""
        return shared_subjects(self.source(plan.source).groups, plan)

    def provenance(self) -> dict[str, Any]:
        """What the plans were drawn with, as the file says."""
        return {name: value for name, value in self.header.items() if name not in _OWN}

    def __repr__(self) -> str:
        return f"PlanFile({len(self)} plans over {[source.name for source in self.sources]})"


def save_plans(path: str | Path, plans: Savable, indices: Iterable[int] | None = None) -> None:
    """Write the plans at `indices` (default: all of a finite sampler), whole or not at all."""
    path = _npz_path(path)
    if not all(hasattr(plans, name) for name in ("sources", "batch", "provenance")):
        raise InputError(
            f"save_plans got a {type(plans).__name__}; give a sampler, curve.at(shots), or plans"
            " from a file"
        )
    batch = list(plans.batch(range(len(plans)) if indices is None else indices))  # type: ignore[arg-type]  # Sized where finite
    if not batch:
        raise InputError("no plans to save; give at least one index")
    header = header_of(plans, len(batch))
    arrays = columns_of(batch, plans.sources)
    with open_whole(path) as file:
        write_arrays(file, header, arrays)


def header_of(plans: Savable, count: int) -> dict[str, Any]:
    """What the plans were drawn with, and for which labels."""
    return plans.provenance() | {
        "format": FORMAT,
        "version": version_of(plans.provenance()),
        "sources": [_describe(source) for source in plans.sources],
        "plans": count,
    }


def columns_of(batch: Sequence[EpisodePlan], sources: Sequence[TaskSource]) -> Arrays:
    """The columns of the format, by name."""
    position = {source.name: place for place, source in enumerate(sources)}
    columns: dict[str, Any] = {
        "index": [plan.index for plan in batch],
        "source": [position[plan.source] for plan in batch],
        "shots": [-1 if plan.shots is None else plan.shots for plan in batch],
        "sizes": [(plan.ways, len(plan.support), len(plan.query)) for plan in batch],
        "classes": np.concatenate([plan.classes for plan in batch]),
        **{
            name: np.concatenate([getattr(plan, name).reshape(-1) for plan in batch])
            for name in ("support", "support_labels", "query", "query_labels")
        },
    }
    return {name: np.asarray(columns[name], dtype=np.int64) for name in COLUMNS}


def write_arrays(file: BinaryIO, header: Mapping[str, Any], arrays: Arrays) -> None:
    """Equal plans make equal bytes: numpy gives every member the same time."""
    text = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    np.savez(file, **{"header": text, **arrays})  # type: ignore[arg-type]  # no member is named allow_pickle


def load_plans(path: str | Path, sources: TaskSource | Iterable[TaskSource]) -> PlanFile:
    """Read plans for these sources, whose labels must be those that the plans were drawn for.

    Warns where subjects of the sources stand in both support and query.
    """
    path = Path(path)
    by_name = {source.name: source for source in as_sources(sources)}
    arrays = read_arrays(path)
    header = read_header(path, arrays.pop("header"))
    ordered = [matching_source(path, entry, by_name) for entry in header["sources"]]
    plans = PlanFile(PlanBatch(checked_plans(path, arrays, ordered, header)), ordered, header)
    leaking = sum(1 for plan in plans if plans.shared_subjects(plan))
    if leaking:
        warnings.warn(
            f"{path}: in {leaking} of {len(plans)} episodes a subject stands in both support and"
            " query, which flatters every score; shared_subjects(plan) counts them",
            SubjectLeakWarning,
            stacklevel=2,
        )
    return plans


def _npz_path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(
            f"plans are saved as .npz; got {path.name!r}, give a name that ends in .npz"
        )
    return path


def _describe(source: TaskSource) -> dict[str, Any]:
    task = source.task
    return {
        "name": source.name,
        "task": task.name,
        "domain": task.domain,
        "kind": task.target.kind,
        "classes": list(task.target.classes),
        "samples": len(source),
        "fingerprint": source.fingerprint(),
    }

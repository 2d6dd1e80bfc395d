"""An experiment as a job: what engines send to the processes that make its units."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from torchcross._kit.plugin_files import load_plugins
from torchcross._kit.surroundings import installed_version, processor_kind
from torchcross._kit.threads import ONE_COMPUTES
from torchcross.backbones.addresses import beside
from torchcross.experiment.device import own_threads
from torchcross.experiment.run.cells import Cell, Say, WorkContext
from torchcross.experiment.run.folder import PROVENANCE
from torchcross.experiment.run.provenance import (
    UNREADABLE,
    complete_description,
    data_description,
)
from torchcross.experiment.settings.model_settings import BackboneSettings
from torchcross.experiment.settings.plain import digest
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import JobFolder, Unit


class UnitPlan(Protocol):
    """The units of what a run or a search has not done yet, and the cells that wait for them."""

    @property
    def units(self) -> Sequence[Unit]: ...

    def cells_that_need(self, key: str) -> Sequence[Cell]:
        """The cells that are not done without a unit."""

    def unfinished_cells(self) -> Iterable[tuple[Cell, Sequence[str]]]:
        """The cells that are not done now, each with the keys that it waits for, in their order."""


class Bench(Protocol):
    """What one process needs to make units of a run or of a search, one after the other."""

    @property
    def plan(self) -> UnitPlan: ...

    @property
    def has_made(self) -> bool:
        """Whether it has begun a unit."""

    def fingerprint(self) -> Mapping[str, str | None]:
        """What decides the bytes of results; see `fingerprint_of`."""

    def make(self, key: str, folder: Path, say: Say | None) -> None:
        """Write the results of a unit into a folder.

        `say` gets what the unit says; None where that is for the process that began the call.
        """


BenchMaker = Callable[[Experiment, Path], Bench]
"""Makes the bench of a worker from the experiment and the folder of its run or search."""


@dataclass(frozen=True)
class ExperimentJob:
    """The job of a run or a search in the folder `out`.

    make_bench  a function of a module, so that workers know it by its name
    call        of each call of a run: what a process knows of an earlier one may be out of date
    bench       in the process that began the call; another process makes its own
    """

    experiment: Experiment
    out: str
    make_bench: BenchMaker
    call: str
    bench: Bench | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls, experiment: Experiment, out: Path, make_bench: BenchMaker, bench: Bench
    ) -> ExperimentJob:
        return cls(experiment, str(out), make_bench, uuid.uuid4().hex, bench)

    def __hash__(self) -> int:
        return int(self.call, 16)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker may have another working folder.
        out = str(Path(self.out).absolute())
        parts = (as_sent(self.experiment), out, self.make_bench, self.call)
        return ExperimentJob, parts

    def units(self) -> Sequence[Unit]:
        return self._own_bench().plan.units

    def fingerprint(self) -> Mapping[str, str | None]:
        return self._own_bench().fingerprint()

    def run(self, key: str, folder: Path) -> None:
        with ONE_COMPUTES, own_threads(self.experiment.machine), self._log(key) as say:
            self._own_bench().make(key, folder, say)

    def _own_bench(self) -> Bench:
        if self.bench is not None:
            return self.bench
        # Else two threads of a worker would each make one.
        with ONE_COMPUTES:
            return _bench_of_worker(self)

    @contextmanager
    def _log(self, key: str) -> Iterator[Say | None]:
        """In a worker, what a unit says goes to its log: whoever began the call says it."""
        if self.bench is not None:
            yield None
            return
        with JobFolder(self.out).log_file(key).open("w", encoding="utf-8") as log:
            yield lambda line: print(line, file=log, flush=True)


@lru_cache(maxsize=1)
def _bench_of_worker(job: ExperimentJob) -> Bench:
    """The one of this process; that of another call goes."""
    load_plugins(job.experiment.plugins)
    return job.make_bench(job.experiment, Path(job.out))


def fingerprint_of(
    work: WorkContext, identity: str, *, computes: bool = True
) -> dict[str, str | None]:
    """What decides the bytes of results: two processes with other values do not share a folder.

    `identity` is a digest of the settings that do. Who does not compute (`computes`) leaves it to
    the others on what hardware.
    """
    return {
        "experiment": identity,
        **_data_digests(work),
        **{name: str(installed_version(name)) for name in ("torchcross-fewshot", "torch")},
        "hardware": processor_kind(work.machine.device) if computes else None,
        # Rounding alone, so that a run may go on with others: not while this one works.
        "ranks": str(work.experiment.machine.ranks),
    }


def _data_digests(work: WorkContext) -> dict[str, str | None]:
    """Of each dataset, so that one which differs is named.

    What cannot be read here is what the folder's provenance says of it, or is left to others.
    """
    known = work.folder.plain(PROVENANCE).get("data", {})
    data = complete_description(data_description(work.collection), known)
    parts: dict[str, Any] = {}
    for name, value in data.items():
        inner = value if isinstance(value, dict) and UNREADABLE not in value else {"": value}
        parts |= {f"data {name} {each}".rstrip(): part for each, part in inner.items()}
    return {name: None if _is_unreadable(part) else digest(part) for name, part in parts.items()}


def _is_unreadable(part: Any) -> bool:
    return isinstance(part, dict) and (
        UNREADABLE in part or any(map(_is_unreadable, part.values()))
    )


def as_sent(experiment: Experiment) -> Experiment:
    """The experiment as a worker needs it.

    It may have another working folder, and sees the GPUs that it is to compute on alone: there the
    number in "cuda:1" names another one, or none.
    """
    machine = replace(experiment.machine, device=experiment.machine.device.partition(":")[0])
    return replace(with_absolute_paths(experiment), machine=machine)


def with_absolute_paths(experiment: Experiment) -> Experiment:
    """The experiment as a process with another working folder needs it."""
    data = replace(
        experiment.data,
        folder=_absolute(experiment.data.folder),
        features=_absolute(experiment.data.features),
    )
    model = experiment.model
    model = replace(
        model,
        weights=_absolute(model.weights),
        backbone=_absolute_backbone(model.backbone),
        backbones=tuple(
            replace(
                entry,
                weights=_absolute(entry.weights),
                backbone=_absolute_backbone(entry.backbone),
            )
            for entry in model.backbones
        ),
    )
    text = experiment.text
    text = replace(text, csv=_absolute(text.csv), vectors=_absolute(text.vectors))
    plugins = tuple(map(_absolute, experiment.plugins))
    return replace(experiment, data=data, model=model, text=text, plugins=plugins)


def _absolute_backbone(backbone: BackboneSettings) -> BackboneSettings:
    if not backbone.is_addressed:
        return backbone
    return replace(backbone, name=beside(backbone.name, Path.cwd()))


def _absolute(place: str) -> str:
    """What is no path here, such as an address of another format of data, stays as it is."""
    return str(Path(place).absolute()) if place and Path(place).exists() else place

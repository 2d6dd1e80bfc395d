"""From the section `engine` to the engine that makes the units of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchcross._kit.process_memory import available_bytes
from torchcross.errors import InputError
from torchcross.experiment.rows.device import machine_elsewhere, machine_of, resources_of
from torchcross.experiment.run.checks import check_experiment
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import InlineEngine, JobEngine, JobFolder, LocalEngine, job_engine_named
from torchcross.jobs.engines.engine import engine_parameters
from torchcross.jobs.engines.local import usable_cores
from torchcross.training import TorchMachine

_LOCAL = "local"


@dataclass(frozen=True)
class ChosenEngine:
    """What makes the units of a call, and the machine of the process that began the call."""

    engine: JobEngine
    machine: TorchMachine

    @property
    def computes(self) -> bool:
        """Whether units are made on this machine."""
        return self.engine.is_here

    @property
    def has_bars(self) -> bool:
        """Whether units are made in this process, with bars of their own on its screen."""
        return isinstance(self.engine, InlineEngine)


def checked_engine(experiment: Experiment, out: str | Path, jobs: int | None) -> ChosenEngine:
    """The engine of an experiment that can run on it: refused before anything is written."""
    name = str(experiment.engine.get("name", _LOCAL))
    check_experiment(experiment, computes=name == _LOCAL)
    engine = engine_of(experiment, out, jobs)
    settings = experiment.machine
    return ChosenEngine(
        engine, machine_of(settings) if engine.is_here else machine_elsewhere(settings, name)
    )


def engine_of(experiment: Experiment, out: str | Path, jobs: int | None) -> JobEngine:
    """The engine that the experiment names, or else `jobs` processes of this machine.

    One process is this one. `jobs` None: as many as the cores allow.
    """
    settings = dict(experiment.engine)
    name = settings.pop("name", _LOCAL)
    if not isinstance(name, str):
        raise InputError(f"engine.name is {name!r}; give a name, such as 'local' or 'slurm'")
    if name != _LOCAL:
        _refuse_processes(name, settings, jobs)
        return job_engine_named(name, settings, JobFolder(out).engine_folder(name).absolute())
    count = settings.pop("jobs", jobs)
    if count is None:
        count = default_jobs(experiment)
    if type(count) is not int or count < 1:
        raise InputError(f"engine.jobs is {count!r}; give a number of processes from 1")
    if count == 1 and not settings:
        return InlineEngine()
    engine = job_engine_named(_LOCAL, {"jobs": count, **settings})
    assert isinstance(engine, LocalEngine), "the entry point of this distribution"
    return engine


def _refuse_processes(name: str, settings: Mapping[str, Any], jobs: int | None) -> None:
    """Refuse a number of processes of this machine beside an engine that starts none here."""
    parameters = engine_parameters(name)
    is_asked = "jobs" in settings or (jobs is not None and jobs > 1)
    if parameters is None or "jobs" in parameters or not is_asked:
        return
    count, advice = settings.get("jobs", jobs), ""
    if "slots" in parameters:
        advice = f", or give engine.slots={count} for at most so many units at once"
    raise InputError(
        f"engine.jobs={count} (--jobs) and engine.name={name!r} (--engine) contradict each other:"
        " jobs are processes of this machine, and the engine 'local' alone starts them; leave one"
        f" of the two out{advice}"
    )


def default_jobs(experiment: Experiment) -> int:
    """As many processes as this machine has cores and memory for, as far as a unit's are stated."""
    unit, free = resources_of(experiment.machine), available_bytes()
    room = usable_cores() // unit.cores
    if unit.memory and free is not None:
        room = min(room, free // unit.memory)
    return max(1, room)

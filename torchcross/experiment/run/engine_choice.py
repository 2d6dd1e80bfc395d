"""From the section `engine` to the engine that makes the units of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchcross._kit.process_memory import available_bytes
from torchcross.experiment.device import machine_elsewhere, machine_of, resources_of
from torchcross.experiment.engine_settings import LOCAL, engine_of_settings
from torchcross.experiment.run.checks import check_experiment
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import InlineEngine, JobEngine
from torchcross.jobs.engines.local import usable_cores
from torchcross.training import TorchMachine


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
    name = str(experiment.engine.get("name", LOCAL))
    check_experiment(experiment, computes=name == LOCAL)
    engine = engine_of(experiment, out, jobs)
    settings = experiment.machine
    return ChosenEngine(
        engine, machine_of(settings) if engine.is_here else machine_elsewhere(settings, name)
    )


def engine_of(experiment: Experiment, out: str | Path, jobs: int | None) -> JobEngine:
    """The engine that the experiment names, or else `jobs` processes of this machine.

    One process is this one. `jobs` None: as many as the cores allow.
    """
    return engine_of_settings(
        experiment.engine, out, jobs, lambda: default_jobs(experiment), experiment.machine.device
    )


def default_jobs(experiment: Experiment) -> int:
    """As many processes as this machine has cores and memory for, as far as a unit's are stated."""
    unit, free = resources_of(experiment.machine), available_bytes()
    room = usable_cores() // unit.cores
    if unit.memory and free is not None:
        room = min(room, free // unit.memory)
    return max(1, room)

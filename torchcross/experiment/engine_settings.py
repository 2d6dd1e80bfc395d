"""From the settings of the section `engine` to an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from torchcross.errors import InputError
from torchcross.jobs import InlineEngine, JobEngine, JobFolder, LocalEngine, job_engine_named
from torchcross.jobs.engines.devices import gpu_of_device
from torchcross.jobs.engines.engine import engine_parameters

LOCAL: Final = "local"


def engine_of_settings(
    engine: Mapping[str, Any],
    out: str | Path,
    jobs: int | None,
    default: Callable[[], int],
    device: str,
) -> JobEngine:
    """The engine that the section names, or else `jobs` processes of this machine.

    One process is this one. `jobs` None: as many as `default` says. `engine.jobs` wins over `jobs`.
    Where units compute on one GPU of this machine by `device`, such as "cuda:1", processes get
    this GPU alone.
    """
    settings = dict(engine)
    name = settings.pop("name", LOCAL)
    if not isinstance(name, str):
        raise InputError(f"engine.name is {name!r}; give a name, such as 'local' or 'slurm'")
    if name != LOCAL:
        _refuse_processes(name, settings, jobs)
        return job_engine_named(name, settings, JobFolder(out).engine_folder(name).absolute())
    count = settings.pop("jobs", jobs)
    if count is None:
        count = default()
    if type(count) is not int or count < 1:
        raise InputError(f"engine.jobs is {count!r}; give a number of processes from 1")
    if count == 1 and not settings:
        return InlineEngine()
    gpu = gpu_of_device(device)
    gpus = {} if gpu is None else {"gpus": [gpu]}
    local = job_engine_named(LOCAL, {"jobs": count, **gpus, **settings})
    assert isinstance(local, LocalEngine), "the entry point of this distribution"
    return local


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

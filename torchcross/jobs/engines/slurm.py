"""Jobs of a Slurm cluster, by submitit: it writes the scripts, the arrays and the requeueing."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, final

from torchcross._kit.extras import import_extra
from torchcross.errors import EngineWarning, InputError
from torchcross.jobs.engines.durations import minutes_of
from torchcross.jobs.engines.engine import JobEngine, WorkerEnded
from torchcross.jobs.units import Resources

_GB: Final = 1024**3
_GENERIC: Final = frozenset(
    {
        "name",
        "timeout_min",
        "mem_gb",
        "nodes",
        "cpus_per_task",
        "gpus_per_node",
        "tasks_per_node",
        "stderr_to_stdout",
    }
)
"""What submitit has for every kind of cluster; parameters of Slurm alone begin with slurm_."""
_LOOK_EVERY: Final = 1.0
"""Seconds between two looks at jobs that run. submitit itself asks Slurm more rarely."""


@final
class SlurmEngine(JobEngine):
    """One Slurm job for each unit, in arrays; `slots` of them wait or run at once.

    folder      where submitit keeps scripts and logs; every node must see it
    time        the most that one unit may take: "4h", "90min" or minutes
    cluster     "slurm"; "local" and "debug" run the same on this machine
    partition, account, qos, constraint, ...   as sbatch has them
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        time: str | float = "1h",
        slots: int = 256,
        cluster: str = "slurm",
        **options: Any,
    ) -> None:
        if slots < 1:
            raise InputError(f"engine.slots = {slots} runs nothing; give 1 or more")
        self._submitit = import_extra("submitit", "slurm", "SlurmEngine")
        self._folder, self._cluster = Path(folder), cluster
        self._minutes, self._slots, self._options = minutes_of(time), slots, options
        self._executors: dict[Resources, Any] = {}
        self._jobs: list[tuple[Any, Future[Any]]] = []
        # In a batch that is open, jobs have no numbers yet.
        self._in_batch: list[tuple[Any, Future[Any]]] | None = None
        self._batches = ExitStack()
        self._batched: set[Resources] = set()
        self._changed, self._ended = threading.Lock(), threading.Event()
        self._watcher: threading.Thread | None = None
        self._has_said = False

    def has_room(self, resources: Resources) -> bool:
        return len(self._jobs) + len(self._in_batch or ()) < self._slots

    @contextmanager
    def batch(self) -> Iterator[None]:
        """What is submitted in the block becomes one job array for each kind of resources."""
        self._in_batch = []
        try:
            with ExitStack() as self._batches:
                yield
                with _refusals_as_input_errors():
                    self._batches.close()
        finally:
            # Where Slurm refuses an array, it may have those before it: they are to be ended.
            self._watch([each for each in self._in_batch if hasattr(each[0], "job_id")])
            self._in_batch = None
            self._batched = set()

    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        executor = self._executor(resources)
        if self._in_batch is not None and resources not in self._batched:
            self._batches.enter_context(executor.batch())
            self._batched.add(resources)
        with _refusals_as_input_errors():
            job = executor.submit(_Requeued(call), *args)
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        if self._in_batch is None:
            self._watch([(job, future)])
        else:
            self._in_batch.append((job, future))
        return future

    def shutdown(self, *, cancel: bool = False) -> None:
        if cancel:
            for job, _ in self._jobs:
                job.cancel(check=False)
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()

    def _executor(self, resources: Resources) -> Any:
        if resources not in self._executors:
            executor = self._auto_executor()
            own = {_parameter(name): value for name, value in self._options.items()}
            if resources.memory:
                own["mem_gb"] = max(1, -(-resources.memory // _GB))
            if resources.gpus:
                own["gpus_per_node"] = max(1, round(resources.gpus))
            try:
                executor.update_parameters(
                    timeout_min=self._minutes, cpus_per_task=resources.cores, **own
                )
            except (TypeError, NameError, ValueError) as error:
                raise InputError(
                    f"submitit does not take these settings of the engine: {error}"
                ) from error
            self._executors[resources] = executor
        return self._executors[resources]

    def _auto_executor(self) -> Any:
        try:
            return self._submitit.AutoExecutor(folder=self._folder, cluster=self._cluster)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"submitit finds no cluster {self._cluster!r} here ({error}); give the command"
                " where `sbatch` and `srun` are, or engine.cluster='local' for jobs of this machine"
            ) from error

    def _watch(self, jobs: list[tuple[Any, Future[Any]]]) -> None:
        with self._changed:
            self._jobs += jobs
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._look, name="Slurm jobs", daemon=True)
            self._watcher.start()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_EVERY):
            ended = [(job, future) for job, future in list(self._jobs) if self._has_ended(job)]
            with self._changed:
                self._jobs = [each for each in self._jobs if each not in ended]
            for job, future in ended:
                try:
                    self._take_result(job, future)
                except Exception as error:  # noqa: BLE001 - the future has it
                    future.set_exception(error)

    def _has_ended(self, job: Any) -> bool:
        """No also where that cannot be known now: Slurm may not answer for a while."""
        try:
            return bool(job.done())
        except Exception as error:  # noqa: BLE001 - it is said, and asked again
            self._say_once(error)
            return False

    def _say_once(self, error: Exception) -> None:
        if self._has_said:
            return
        self._has_said = True
        # Where warnings are errors, the watcher must go on all the same.
        with suppress(EngineWarning):
            warnings.warn(
                f"Slurm does not say how its jobs are ({type(error).__name__}: {error}); it is"
                f" asked again every {_LOOK_EVERY:g} s, and this is said once",
                EngineWarning,
                stacklevel=2,
            )

    def _take_result(self, job: Any, future: Future[Any]) -> None:
        errors = self._submitit.core.utils
        try:
            result = job.result()
        except errors.FailedJobError as error:
            future.set_exception(RuntimeError(_error_in(str(error))))
        except errors.UncompletedJobError:
            future.set_exception(WorkerEnded(None))
        else:
            future.set_result(result)


def _parameter(option: str) -> str:
    """What submitit calls an option of sbatch."""
    return option if option in _GENERIC or option.startswith("slurm_") else f"slurm_{option}"


@contextmanager
def _refusals_as_input_errors() -> Iterator[None]:
    """What `sbatch` says of jobs that it does not take, or that there is none."""
    try:
        yield
    except (RuntimeError, FileNotFoundError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"Slurm does not take the jobs ({reason}); see the settings of the engine, such as"
            " engine.partition and engine.time"
        ) from error


def _error_in(text: str) -> str:
    """The last line of the traceback of a call, which submitit has between two rules."""
    _, *parts = re.split(r"^-{5,}\n", text, flags=re.MULTILINE)
    return (parts[0] if parts else text).strip().splitlines()[-1]


class _Requeued:
    """A call that submitit submits again where Slurm takes its node away, or its time is up."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)

    def checkpoint(self, *args: Any) -> Any:
        return import_extra("submitit.helpers", "slurm", "SlurmEngine").DelayedSubmission(
            self, *args
        )

"""Processes of this machine that train together: one call in each of them, or in none.

Neither of torch's launchers does it. The agent behind torchrun waits 30 seconds for a rank that
hangs, restarts what jobs restart, and writes logs of its own. `torch.multiprocessing` returns no
result, turns every error into text, and blames the rank that fails first: often the one that has
just noticed that another is gone.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta  # noqa: TID251 - a length of time and no clock
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import torch
from torch import distributed

from torchcross._kit.argument_checks import checked_int
from torchcross._kit.worker_processes import WorkerProcess, pipe_of_parent
from torchcross.errors import InputError, RankError, TorchcrossError
from torchcross.training.machine import TorchMachine
from torchcross.training.options import FitOptions
from torchcross.training.signals import request_stop

Result = TypeVar("Result")

SETTLE_SECONDS: Final = 3
"""After one rank has failed, the others may say so much longer why they did; then they are killed.
"""
STOP_SECONDS: Final = 60
"""Ranks that are asked to stop may take so long to finish their step and write a checkpoint."""
_HANG: Final = timedelta(minutes=30)
"""A rank that waits so long for the others gives up."""


def usable_ranks(options: FitOptions, most: int) -> int:
    """How many of `most` ranks can share each step of a training: the most that divide it."""
    parts = options.meta_batch // (options.at_once or 1)
    return next(ranks for ranks in range(min(most, parts), 0, -1) if not parts % ranks)


def run_on_ranks(
    call: Callable[..., Result], *args: Any, ranks: int, threads: int = 1, device: str = "cpu"
) -> Result:
    """Call `call(*args)` in `ranks` new processes of this machine; return the first one's result.

    In each of them `torch.distributed` is initialised, so that a `TorchMachine` is one rank: by
    gloo on a CPU, by NCCL on GPUs ("cuda"), where each rank has one. A rank computes with `threads`
    threads. The call and what it is given have to be picklable.

    Where a rank raises, its error is raised. Where a rank dies, the others are stopped within
    seconds, and a RankError says which one and why. Where this process is asked to stop, `fit`
    finishes its step on all ranks and writes a checkpoint first; they are killed after a minute.
    """
    checked_int("ranks", ranks, 1)
    checked_int("threads", threads, 1)
    _check_device(device, ranks)
    with ExitStack() as stack:
        # Files in a folder that is ours alone, so that there is no port to choose and none is open.
        store = stack.enter_context(TemporaryDirectory(prefix="torchcross-ranks-"))
        workers = [WorkerProcess(threads) for _ in range(ranks)]
        for worker in workers:
            stack.callback(worker.close)
        futures: list[Future[Result]] = []
        failed: list[int] = []
        stack.callback(_kill_unfinished, workers, futures)
        for rank, worker in enumerate(workers):
            place = _Place(rank, ranks, worker.number, device, str(Path(store, "group")))
            futures.append(worker.submit(_run_rank, place, threads, call, args))
            futures[-1].add_done_callback(partial(_note_failure, failed, rank))
        try:
            pending = wait(futures, return_when=FIRST_EXCEPTION).not_done
            wait(pending, timeout=SETTLE_SECONDS)
        except BaseException:
            for worker in workers:
                worker.ask_to_stop()
            wait(futures, timeout=STOP_SECONDS)
            raise
        if failed:
            raise _cause(failed, futures, workers)
        return futures[0].result()


@dataclass(frozen=True)
class _Place:
    """A rank among the ranks."""

    rank: int
    ranks: int
    process: int
    device: str
    store: str

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.ranks}"


def _check_device(device: str, ranks: int) -> None:
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and ranks > 1):
        raise InputError(
            f"{ranks} ranks cannot share the device {device!r}; give 'cpu', or 'cuda' for one GPU"
            " each."
        )
    if kind == "cuda" and ranks > torch.cuda.device_count():
        raise InputError(
            f"{ranks} ranks need a GPU each, and there are {torch.cuda.device_count()}; give fewer"
            " ranks."
        )


# -- in the process that launches ------------------------------------------------------------------


def _note_failure(failed: list[int], rank: int, future: Future[Any]) -> None:
    """Keep the order in which ranks failed: what the first one raised is no echo of another."""
    if future.cancelled() or future.exception() is not None:
        failed.append(rank)


def _kill_unfinished(workers: Sequence[WorkerProcess], futures: Sequence[Future[Any]]) -> None:
    for worker, future in zip(workers, futures, strict=False):
        if not future.done():
            worker.kill()


def _cause(
    failed: Sequence[int], futures: Sequence[Future[Any]], workers: Sequence[WorkerProcess]
) -> BaseException:
    """The error that explains why ranks have failed, with the number of its rank."""
    errors = {rank: futures[rank].exception() for rank in failed}
    ranks = len(futures)
    for rank, error in errors.items():
        if isinstance(error, BrokenProcessPool):
            return RankError(
                f"rank {rank} of {ranks} (process {workers[rank].number})"
                f" {workers[rank].reason_of_end()}, and the others were stopped; run the same again"
                " to go on from the last checkpoint"
            )
    # A RankError repeats what another rank raised.
    origins = [rank for rank, error in errors.items() if not isinstance(error, RankError)]
    rank = origins[0] if origins else failed[0]
    cause = errors[rank]
    if isinstance(cause, TorchcrossError):
        alone = sum(type(error) is type(cause) for error in errors.values()) < ranks
        return type(cause)(f"{cause} (rank {rank} of {ranks})") if alone else cause
    if not isinstance(cause, Exception):
        # Signals were sent to the ranks and not to this process: it ends as they did.
        return cause or RankError(f"rank {rank} of {ranks} was cancelled")
    return RankError(f"rank {rank} of {ranks} failed: {type(cause).__name__}: {cause}")


# -- in each rank ----------------------------------------------------------------------------------


def _run_rank(
    place: _Place, threads: int, call: Callable[..., Result], args: tuple[Any, ...]
) -> Result | None:
    done = threading.Event()
    pipe = pipe_of_parent()
    if pipe is not None:
        threading.Thread(target=_obey_parent, args=(pipe, done), daemon=True).start()
    try:
        torch.set_num_threads(threads)
        _join_group(place)
        result = call(*args)
        # Nobody leaves while another one still waits for its part of a sum.
        TorchMachine(place.device).wait()
        distributed.destroy_process_group()
    finally:
        done.set()
    return result if place.rank == 0 else None


def _obey_parent(pipe: Connection, done: threading.Event) -> None:
    """Stop training when the parent asks for it, and also when the parent is gone."""
    try:
        pipe.recv_bytes()
        request_stop()
        pipe.recv_bytes()
    except (EOFError, OSError):
        request_stop()
        done.wait(STOP_SECONDS)
        os._exit(1)


def _join_group(place: _Place) -> None:
    backend = "gloo"
    if place.device == "cuda":
        backend = "nccl"
        torch.cuda.set_device(place.rank)
    else:
        _use_loopback()
    store = distributed.FileStore(place.store, place.ranks)  # type: ignore[attr-defined]
    distributed.init_process_group(
        backend, store=store, rank=place.rank, world_size=place.ranks, timeout=_HANG
    )


def _use_loopback() -> None:
    """Let gloo not ask what the name of this machine means: it may mean nothing."""
    with suppress(OSError, AttributeError):
        names = [name for _, name in socket.if_nameindex()]
        loopback = next((name for name in ("lo", "lo0") if name in names), None)
        if loopback is not None:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)

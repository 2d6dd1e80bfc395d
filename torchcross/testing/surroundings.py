"""What a pure function does not depend on: generators, workers, ranks; and copies by pickle."""

from __future__ import annotations

import os
import pickle  # noqa: TID251 - our own object, in memory, as worker processes send it
import random  # noqa: TID251 - only to see that nobody moves it
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

_ELSEWHERE = 20_250_101


@contextmanager
def generators_left_alone(activity: str) -> Iterator[None]:
    """Raise AssertionError where the block moves a global generator."""
    before = _states()
    yield
    after = _states()
    moved = [name for name, state in before.items() if after[name] != state]
    if moved:
        raise AssertionError(
            f"{activity} moved the global random generator of {' and '.join(moved)}; draw from a"
            " generator of its own"
        )


@contextmanager
def foreign_generators() -> Iterator[None]:
    """Give the global generators other states in the block, as another process has them."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        torch.set_rng_state(torch.Generator().manual_seed(_ELSEWHERE).get_state())
        np.random.set_state(np.random.RandomState(_ELSEWHERE).get_state())  # noqa: NPY002
        random.setstate(random.Random(_ELSEWHERE).getstate())
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


@contextmanager
def as_worker(number: int, workers: int) -> Iterator[None]:
    """Let `torch.utils.data.get_worker_info` answer in the block as in a worker of a DataLoader."""
    # torch has no public way to pretend. If this name goes, the check of worker ids fails loudly.
    there = torch.utils.data._utils.worker
    before = there._worker_info
    there._worker_info = there.WorkerInfo(
        id=number, num_workers=workers, seed=_ELSEWHERE, dataset=Dataset()
    )
    try:
        yield
    finally:
        there._worker_info = before


@contextmanager
def as_rank(rank: int, ranks: int) -> Iterator[None]:
    """Give the environment in the block the names that launchers of several processes set."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: str(value) for name, value in names.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def through_pickle(item: Any, name: str) -> Any:
    """A copy as a worker process gets it."""
    return pickle_now(item, name)()


def pickle_now(item: Any, name: str) -> Callable[[], Any]:
    """The item as it is now; call the result for a copy."""
    data = pickled_bytes(item, name)
    return lambda: copy_of(data)


def pickled_bytes(item: Any, name: str) -> bytes:
    """The item as it is now, as a worker process gets it."""
    try:
        return pickle.dumps(item)
    except Exception as error:
        raise AssertionError(
            f"{name} cannot be pickled, so no worker process can use it: {error!r}"
        ) from error


def copy_of(pickled: bytes) -> Any:
    """A copy of what was pickled."""
    return pickle.loads(pickled)  # noqa: S301


def _states() -> dict[str, object]:
    numpy_state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    states: dict[str, object] = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (numpy_state["key"].tobytes(), numpy_state["pos"]),
        "random": random.getstate(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["torch.cuda"] = b"".join(
            state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()
        )
    return states

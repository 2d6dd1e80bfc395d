"""The global random generators, which a pure function leaves alone, and copies by pickle."""

from __future__ import annotations

import pickle  # noqa: TID251 - our own object, in memory, as worker processes send it
import random  # noqa: TID251 - only to see that nobody moves it
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

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


def through_pickle(item: Any, name: str) -> Any:
    """A copy as a worker process gets it."""
    return pickle_now(item, name)()


def pickle_now(item: Any, name: str) -> Callable[[], Any]:
    """The item as it is now, as bytes; call the result for a copy."""
    try:
        data = pickle.dumps(item)
    except Exception as error:
        raise AssertionError(
            f"{name} cannot be pickled, so no worker process can use it: {error!r}"
        ) from error
    return lambda: pickle.loads(data)  # noqa: S301


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

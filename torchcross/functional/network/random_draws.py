"""Whether a forward draws from a global random generator, while other threads may draw too."""

from __future__ import annotations

import random  # noqa: TID251
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from torchcross.errors import InputError

TORCH, NUMPY, PYTHON, CUDA = "torch's", "numpy's", "Python's", "CUDA's"


_ONE_AT_A_TIME = threading.RLock()


@dataclass
class _Generator:
    """A global generator: whose it is, how its state is read and put back, and a state of it."""

    owner: str
    read: Callable[[], Any]
    restore: Callable[[Any], None]
    state: Any = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.read()

    def has_moved(self) -> bool:
        return not _is_same_state(self.state, self.read())


def _global_generators(device: torch.device) -> list[_Generator]:
    generators = [
        _Generator(TORCH, torch.random.get_rng_state, torch.random.set_rng_state),
        _Generator(NUMPY, np.random.get_state, np.random.set_state),
        _Generator(PYTHON, random.getstate, random.setstate),
    ]
    if device.type == "cuda":
        read, restore = torch.cuda.get_rng_state, torch.cuda.set_rng_state
        generators.append(
            _Generator(CUDA, lambda: read(device), lambda state: restore(state, device))
        )
    return generators


def refuse_random_draws(run: Callable[[], object], module_name: str, device: torch.device) -> None:
    """Run it, raise if it draws from a global generator, and put that generator back.

    Where a generator moved, another thread may have moved it: a second run is watched, for what
    this thread does alone. One thread at a time: a generator that is put back must not hide the
    draw of another.
    """
    with _ONE_AT_A_TIME:
        _refuse_random_draws(run, module_name, device)


def _refuse_random_draws(run: Callable[[], object], module_name: str, device: torch.device) -> None:
    generators = _global_generators(device)
    try:
        run()
    except BaseException:
        for generator in generators:
            if generator.has_moved():
                generator.restore(generator.state)
        raise
    moved = [generator for generator in generators if generator.has_moved()]
    owners = _watched_draws(run, device) if moved else set()
    drawn = [generator for generator in moved if generator.owner in owners]
    for generator in drawn:
        generator.restore(generator.state)
    if drawn:
        raise InputError(
            f"{module_name} draws from the global random generator in its forward"
            f" ({drawn[0].owner}); use nn.Dropout layers (their masks are inputs) or pass the noise"
            " as an input."
        )


def _watched_draws(run: Callable[[], object], device: torch.device) -> set[str]:
    """The owners of the generators that this thread draws from while it runs."""
    tensors = _TensorDraws(device)
    generator = random.random.__self__  # type: ignore[attr-defined]
    owners: set[str] = set()

    def profile(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and getattr(called, "__self__", None) is generator:
            owners.add(PYTHON)

    lock: Any = np.random.get_bit_generator().lock  # type: ignore[attr-defined]
    before = sys.getprofile()
    with ExitStack() as stack:
        if type(lock) is type(threading.RLock()):
            # Other threads wait with their draws; this one may draw.
            stack.enter_context(lock)
        arrays = _Generator(NUMPY, np.random.get_state, np.random.set_state)
        sys.setprofile(profile)
        try:
            with tensors:
                run()
        finally:
            sys.setprofile(before)
        if arrays.has_moved():
            owners.add(NUMPY)
    return owners | tensors.owners


class _TensorDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at the states of torch's generators around each operation that may draw."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device
        self.owners: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        generators = [
            generator
            for generator in _global_generators(self._device)
            if generator.owner in (TORCH, CUDA)
        ]
        result = func(*args, **kwargs)
        self.owners |= {generator.owner for generator in generators if generator.has_moved()}
        return result


def _is_same_state(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, tuple):
        return all(_is_same_state(*pair) for pair in zip(left, right, strict=True))
    return bool(np.array_equal(left, right))

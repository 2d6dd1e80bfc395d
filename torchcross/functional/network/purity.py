"""What a module's forward must leave alone: global generators, and the tensors it is given."""

from __future__ import annotations

import random  # noqa: TID251
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchcross.errors import InputError
from torchcross.functional.trees import Params, inside_transform

_WIDTHS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class _Generator:
    """A global generator: what it is called, how its state is read and put back."""

    called: str
    read: Callable[[], Any]
    restore: Callable[[Any], None]


def _generators(device: torch.device) -> list[_Generator]:
    found = [
        _Generator("torch's", torch.random.get_rng_state, torch.random.set_rng_state),
        _Generator("numpy's", np.random.get_state, np.random.set_state),
        _Generator("Python's", random.getstate, random.setstate),
    ]
    if device.type == "cuda":
        read, restore = torch.cuda.get_rng_state, torch.cuda.set_rng_state
        found.append(
            _Generator("CUDA's", lambda: read(device), lambda state: restore(state, device))
        )
    return found


@contextmanager
def undrawn(who: str, device: torch.device) -> Iterator[None]:
    """Refuses a forward that draws from a global generator, which is put back."""
    before = [(generator, generator.read()) for generator in _generators(device)]
    moved = []
    try:
        yield
    finally:
        for generator, state in before:
            if not _same(state, generator.read()):
                generator.restore(state)
                moved.append(generator.called)
    if moved:
        raise InputError(
            f"{who} draws from the global random generator in its forward ({moved[0]}); use"
            " nn.Dropout layers (their masks are given) or pass the noise as an input."
        )


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, tuple):
        return all(_same(*pair) for pair in zip(left, right, strict=True))
    return bool(np.array_equal(left, right))


def writes(who: str, name: str, *, kept: bool = False) -> InputError:
    """`kept`: what it wrote to may be the parameter itself, and no copy."""
    after = (
        " The parameter has the value written: put it back from your last checkpoint."
        if kept
        else ""
    )
    return InputError(
        f"{who} writes to its parameter {name!r} in its forward, so it has no pure form; compute"
        f" the changed value as a new tensor instead.{after}"
    )


class Given(Tensor):
    """A parameter as a layer sees it: `.data` tells of writes, which torch's own keeps to
    itself.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return self.detach()


def given(tensors: Params) -> Params:
    """The same tensors under eyes that see a write; under a transform as they are."""
    if inside_transform():
        return tensors
    once = {id(value): _given(value) for value in tensors.values()}
    return {name: once[id(value)] for name, value in tensors.items()}


def _given(value: Tensor) -> Tensor:
    return value if isinstance(value, Given) else value.as_subclass(Given)


def given_leaf(value: Tensor) -> Tensor:
    """A detached tensor as an autograd leaf that `given` leaves as it is.

    An alias made ahead of a forward is the last node of its backward: all gradients would wait
    there until the end.
    """
    with (
        torch.enable_grad()
    ):  # torch takes a write to views made without gradients for a mistake of its user
        return value.as_subclass(Given).requires_grad_()


def versions(tensors: Params) -> dict[str, tuple[Tensor, int]]:
    """What tells, after a call, which of them it wrote to or replaced."""
    return {
        name: (value, value._version) for name, value in tensors.items() if not value.is_inference()
    }


def written(tensors: Params, before: dict[str, tuple[Tensor, int]]) -> str | None:
    return next(
        (
            name
            for name, (was, at) in before.items()
            if tensors[name] is not was or was._version != at
        ),
        None,
    )


@contextmanager
def untouched(params: Params) -> Iterator[None]:
    """Raises where the values of the parameters have changed meanwhile, down to a bit: `.data`
    hides who writes.
    """
    if inside_transform():
        yield
        return
    before = _sums(params)
    yield
    names = [name for name, total in _sums(params).items() if not torch.equal(total, before[name])]
    if names:
        raise InputError(
            f"the module wrote to its parameter {names[0]!r} in a forward (through `.data`, say),"
            " and the value it wrote is what the parameter now has: the result was let go. Compute"
            " the changed value as a new tensor in the forward, and put the parameters back from"
            " your last checkpoint."
        )


def _sums(params: Params) -> dict[str, Tensor]:
    """Of each tensor the sum of its bits as whole numbers: exact, in any order, and with little
    memory.
    """
    return {
        name: _sum_of(value.detach().view(_WIDTHS[value.element_size()]))
        for name, value in params.items()
        if value.element_size() in _WIDTHS and value.layout == torch.strided
    }


_SUMMED_AT_ONCE = 1 << 17


def _sum_of(whole: Tensor) -> Tensor:
    """Piece by piece: torch makes a copy of 64 bits a number of what it sums."""
    if whole.numel() <= _SUMMED_AT_ONCE:
        return whole.sum(dtype=torch.int64)
    rows = max(1, _SUMMED_AT_ONCE * len(whole) // whole.numel())
    return torch.stack([piece.sum(dtype=torch.int64) for piece in torch.split(whole, rows)]).sum()

"""Ranks that go on together: what one of them cannot do, none does, and each says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from torchcross.errors import RankError, TorchcrossError
from torchcross.training.machine import Machine

_SHARED = "(all ranks have stopped for this)"
_LONGEST = 2000


@contextmanager
def together(machine: Machine) -> Iterator[None]:
    """A block that all ranks do at the same place: where it fails on one, it fails on all.

    Ranks that raise alone leave the others waiting for them. So the block itself must not wait for
    other ranks.
    """
    failure = None
    try:
        yield
    except Exception as error:
        if machine.ranks == 1:
            raise
        failure = error
    raise_failure(machine, failure)


def raise_failure(machine: Machine, failure: Exception | None) -> None:
    """Raise if any rank has a failure: this rank's own, or else a RankError with the words of it.

    All ranks call this at the same place.
    """
    if machine.ranks > 1:
        failed = torch.zeros(machine.ranks, device=machine.device)
        failed[machine.rank] = float(failure is not None)
        numbers = machine.sum(failed).nonzero().flatten().tolist()
        if numbers:
            text = text_of(machine, numbers[0], _words_of(failure))
            if failure is None:
                failure = RankError(f"rank {numbers[0]} of {machine.ranks} failed: {text}")
            failure.add_note(_SHARED)
    if failure is not None:
        raise failure


def is_shared(error: BaseException | None) -> bool:
    """Whether every rank has raised for this: no rank waits for another one then."""
    while error is not None:
        if _SHARED in getattr(error, "__notes__", ()):
            return True
        error = error.__cause__
    return False


def text_of(machine: Machine, owner: int, text: str) -> str:
    """The text that rank `owner` gave, on each rank."""
    own = text.encode() if machine.rank == owner else b""
    length = number_of(machine, owner, len(own))
    letters = torch.zeros(length, dtype=torch.uint8, device=machine.device)
    if own:
        letters.copy_(torch.frombuffer(bytearray(own), dtype=torch.uint8))
    return bytes(machine.sum(letters).tolist()).decode()


def number_of(machine: Machine, owner: int, number: int) -> int:
    """The whole number that rank `owner` gave, on each rank."""
    own = number if machine.rank == owner else 0
    return int(machine.sum(torch.tensor([own], dtype=torch.int64, device=machine.device)))


def _words_of(failure: Exception | None) -> str:
    kind = "" if isinstance(failure, TorchcrossError) else f"{type(failure).__name__}: "
    return f"{kind}{failure}"[:_LONGEST]

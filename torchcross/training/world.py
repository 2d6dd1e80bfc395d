"""Ranks that somebody else launched (torchrun, Lightning Fabric): one leads, the others follow.

The first rank runs the program. Before each piece that all ranks do, it says which one; the others
do nothing but these pieces.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta  # noqa: TID251 - lengths of time and no clock
from typing import Any, Final, final

import torch
from torch import Tensor, distributed

from torchcross.errors import InputError, RankError
from torchcross.training.agreement import is_shared
from torchcross.training.machine import Precision, TorchMachine

_ENVIRONMENT: Final = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_HANG: Final = timedelta(minutes=30)
_EVER: Final = timedelta(days=3650)
_END_LIMIT: Final = timedelta(seconds=5)
_LOOK_SECONDS: Final = 0.05
_END: Final = ""


@final
class World:
    """All ranks that were launched together."""

    def __init__(self) -> None:
        self.rank = distributed.get_rank()
        self.ranks = distributed.get_world_size()
        # The others may wait for the next piece for days, while the first one evaluates.
        self._control = distributed.new_group(backend="gloo", timeout=_EVER)
        self._groups: dict[int, Any] = {}

    def machine(self, device: str, precision: Precision, ranks: int) -> TorchMachine | None:
        """The machine of the first `ranks` ranks; None on the others. All of them call this."""
        if not 1 <= ranks <= self.ranks:
            raise InputError(f"{ranks} ranks were asked for, and {self.ranks} were launched")
        if ranks not in self._groups:
            self._groups[ranks] = distributed.new_group(list(range(ranks)), timeout=_HANG)
        if self.rank >= ranks:
            return None
        return TorchMachine(device, precision, self._groups[ranks])

    def announce(self, piece: str) -> None:
        """On the first rank: the others do this piece now, as `follow` says."""
        if piece == _END:
            raise InputError("a piece that all ranks do has a name that is not empty")
        self._send(piece)

    def follow(self, act: Callable[[str], object]) -> None:
        """On the other ranks: call `act` with each piece until the first rank ends.

        An error that all ranks share is for the first one to report. Any other error ends this
        rank, and whoever launched the ranks stops them.
        """
        while (piece := self._receive()) != _END:
            try:
                act(piece)
            except Exception as error:
                if not is_shared(error):
                    raise

    def _send(self, piece: str, patience: timedelta | None = None) -> None:
        letters = torch.frombuffer(bytearray(piece.encode() or b"\0"), dtype=torch.uint8)
        self._broadcast(torch.tensor([len(piece.encode())]), patience)
        self._broadcast(letters, patience)

    def _receive(self) -> str:
        length = torch.zeros(1, dtype=torch.int64)
        self._broadcast(length)
        letters = torch.zeros(max(1, int(length)), dtype=torch.uint8)
        self._broadcast(letters)
        return bytes(letters[: int(length)].tolist()).decode()

    def _broadcast(self, values: Tensor, patience: timedelta | None = None) -> None:
        try:
            work = distributed.broadcast(values, 0, self._control, async_op=True)
            assert work is not None
            if patience is not None:
                work.wait(patience)
                return
            # Signals are handled between two looks: within torch they would wait as well.
            while not work.is_completed():
                threading.Event().wait(_LOOK_SECONDS)
            work.wait()
        except RuntimeError as error:
            raise RankError(
                f"rank {self.rank} of {self.ranks} has lost the others ({error}); run the same"
                " again to go on from the last checkpoint"
            ) from error

    def end(self) -> None:
        """On the first rank: the others have nothing left to do."""
        # Where one is gone, so is the reason to tell it.
        with suppress(RankError):
            self._send(_END, _END_LIMIT)


def launched_ranks() -> int:
    """How many processes were launched together with this one; 1 where it is alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads_others() -> bool:
    """Whether this process is the first of those that were launched together, or alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return launched_ranks() < 2 or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_world(device: str = "cpu") -> Iterator[World | None]:
    """The ranks that this process was launched with; None where it is alone.

    They are those of an initialised `torch.distributed`, or else of the environment that torchrun
    sets. Each rank of "cuda" has the GPU of its local number.
    """
    if distributed.is_available() and distributed.is_initialized():
        yield from _world_to_end()
        return
    if launched_ranks() < 2 or not distributed.is_available():
        yield None
        return
    if missing := [name for name in _ENVIRONMENT if name not in os.environ]:
        raise InputError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']} and {', '.join(missing)} is not set; launch"
            " ranks with torchrun, or unset WORLD_SIZE"
        )
    on_gpu = device.partition(":")[0] == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_HANG)
    yield from _world_to_end()
    distributed.destroy_process_group()


def _world_to_end() -> Iterator[World | None]:
    if distributed.get_world_size() == 1:
        yield None
        return
    world = World()
    try:
        yield world
    finally:
        if world.rank == 0:
            world.end()

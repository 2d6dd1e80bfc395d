"""Where training runs: device, precision, and the rank of this process among all ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, final

import torch
from torch import Tensor

from torchcross.errors import InputError

Precision = Literal["32", "bf16-mixed"]


class Machine(ABC):
    """What the training loop needs from a machine.

    >>> from contextlib import nullcontext
    >>> from torchcross.training import Machine
    >>> class Alone(Machine):
    ...     device, precision, rank, ranks = torch.device("cpu"), "32", 0, 1
    ...
    ...     def autocast(self):
    ...         return nullcontext()
    ...
    ...     def sum(self, values):
    ...         return values
    ...
    >>> Alone().describe()  # fit(..., machine=Alone()) trains on it
    {'precision': '32'}
    """

    device: torch.device
    precision: Precision
    rank: int
    ranks: int

    @abstractmethod
    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which a training step computes its loss and gradients."""

    @abstractmethod
    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all ranks, on each of them."""

    def wait(self) -> None:
        """Wait until every rank is here."""
        self.sum(torch.zeros(1, device=self.device))

    def describe(self) -> dict[str, Any]:
        """What a run must go on with. The number of ranks may change: it changes rounding alone."""
        return {"precision": self.precision}


@final
class TorchMachine(Machine):
    """PyTorch alone; with ranks where the process group of `torch.distributed` is initialised.

    The ranks are those of `group`; None: all. Of several GPUs, give each rank its own.
    """

    def __init__(
        self,
        device: torch.device | str = "cpu",
        precision: Precision = "32",
        group: torch.distributed.ProcessGroup | None = None,
    ) -> None:
        try:
            self.device = torch.device(device)
        except RuntimeError as error:
            raise InputError(
                f"{device!r} is not a device of PyTorch ({error}); give 'cpu', 'cuda' or 'cuda:1'."
            ) from error
        if precision not in ("32", "bf16-mixed"):
            raise InputError(f"precision must be '32' or 'bf16-mixed', not {precision!r}.")
        self.precision = precision
        self._distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._group = group
        self.rank = torch.distributed.get_rank(group) if self._distributed else 0
        self.ranks = torch.distributed.get_world_size(group) if self._distributed else 1

    def autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def sum(self, values: Tensor) -> Tensor:
        if self._distributed:
            torch.distributed.all_reduce(values, group=self._group)
        return values


@final
class FabricMachine(Machine):
    """A launched `lightning.fabric.Fabric`: its device, its precision and its ranks."""

    def __init__(self, fabric: Any) -> None:
        try:
            precision = str(fabric.strategy.precision.precision)
            self.device, self.rank = fabric.device, fabric.global_rank
            self.ranks = fabric.world_size
        except AttributeError as error:
            raise InputError(
                f"a {type(fabric).__name__} is not a Fabric ({error}); pass a launched Fabric."
            ) from error
        if precision not in ("32-true", "bf16-mixed"):
            raise InputError(
                f"a Fabric of precision {precision!r} cannot train here: meta-gradients are not"
                " scaled. Give it '32-true' or 'bf16-mixed'."
            )
        self.precision = "32" if precision == "32-true" else "bf16-mixed"
        self._fabric = fabric

    def autocast(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self._fabric.autocast()
        return context

    def sum(self, values: Tensor) -> Tensor:
        total: Tensor = self._fabric.all_reduce(values, reduce_op="sum")
        return total

"""What a module's forward must not change: the tensors it gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from torchcross.errors import InputError
from torchcross.functional.trees import Params, inside_transform

_WIDTHS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def write_error(module_name: str, parameter: str, *, after: str = "") -> InputError:
    return InputError(
        f"{module_name} writes to its parameter {parameter!r} in its forward, so it has no pure"
        f" form; compute the changed value as a new tensor instead.{after}"
    )


class DataReads(threading.local):
    """How often this thread read `.data` of a guarded tensor, whose reads no torch mode sees."""

    count = 0


data_reads = DataReads()


class GuardedTensor(Tensor):
    """A parameter as a layer sees it: a write through `.data` counts as a write.

    Torch's own `.data` does not count the version of its tensor up.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        data_reads.count += 1
        return self.detach()


def guard(tensors: Params) -> Params:
    """The same tensors as `GuardedTensor`s; under a transform as they are."""
    if inside_transform():
        return tensors
    # A tensor with two names stays one tensor.
    guarded = {id(value): _guard_one(value) for value in tensors.values()}
    return {name: guarded[id(value)] for name, value in tensors.items()}


def _guard_one(value: Tensor) -> Tensor:
    return value if isinstance(value, GuardedTensor) else value.as_subclass(GuardedTensor)


def guarded_leaf(value: Tensor) -> Tensor:
    """A detached tensor as an autograd leaf that `guard` leaves as it is.

    An alias made before a forward is the last node of its backward: all gradients would wait there
    until the end.
    """
    # Under no_grad, torch refuses a later write to such a view as a mistake of its user.
    with torch.enable_grad():
        return value.as_subclass(GuardedTensor).requires_grad_()


def versions(tensors: Params) -> dict[str, tuple[Tensor, int]]:
    """What `changed_name` compares with after a call."""
    return {
        name: (value, value._version) for name, value in tensors.items() if not value.is_inference()
    }


def changed_name(tensors: Params, before: dict[str, tuple[Tensor, int]]) -> str | None:
    """The first tensor that was written to or replaced since `versions`, if any."""
    for name, (value, version) in before.items():
        if tensors[name] is not value or value._version != version:
            return name
    return None


@contextmanager
def refuse_writes(params: Params) -> Iterator[None]:
    """Raise where the block changes a bit of a parameter: `.data` hides some writes."""
    if inside_transform():
        yield
        return
    before = _bit_sums(params)
    yield
    for name, total in _bit_sums(params).items():
        if not torch.equal(total, before[name]):
            raise InputError(
                f"the module wrote to its parameter {name!r} in a forward (through `.data`, say)."
                " The parameter now has the value that was written, and the result was dropped."
                " Compute the changed value as a new tensor in the forward, and put the parameters"
                " back from your last checkpoint."
            )


def _bit_sums(params: Params) -> dict[str, Tensor]:
    """The sum of each tensor's bits as whole numbers: exact in any order, and of little memory."""
    return {
        name: _sum_whole(value.detach().view(_WIDTHS[value.element_size()]))
        for name, value in params.items()
        if value.element_size() in _WIDTHS and value.layout == torch.strided
    }


_SUMMED_AT_ONCE = 1 << 17


def _sum_whole(numbers: Tensor) -> Tensor:
    """Piece by piece, for torch first makes a copy with 64 bits a number of what it sums."""
    if numbers.numel() <= _SUMMED_AT_ONCE:
        return numbers.sum(dtype=torch.int64)
    rows = max(1, _SUMMED_AT_ONCE * len(numbers) // numbers.numel())
    pieces = torch.split(numbers, rows)
    return torch.stack([piece.sum(dtype=torch.int64) for piece in pieces]).sum()

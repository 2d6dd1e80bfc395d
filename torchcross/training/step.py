"""The loss and gradients of one step: all of them, or none."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

import torch
from torch import Tensor

from torchcross.algorithms import Algorithm, Pretraining, Step
from torchcross.errors import DivergenceError, InputError
from torchcross.functional import merge_buffers
from torchcross.training.agreement import raise_failure
from torchcross.training.feed import Feed
from torchcross.training.machine import Machine
from torchcross.training.options import FitOptions

Tensors = dict[str, Tensor]
_NAMED = 3


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of a step; its gradients are in the parameters.

    norm       of the gradient, before it is clipped
    buffers    new values of buffers
    interrupt  whether any rank has had a signal to stop
    """

    loss: float
    norm: float
    buffers: Tensors
    interrupt: bool


@final
class Stepper:
    """Computes gradients of meta-batches, summed over parts and ranks; refuses infinite ones."""

    def __init__(
        self,
        algorithm: Algorithm | Pretraining,
        feed: Feed,
        options: FitOptions,
        machine: Machine,
        params: Tensors,
    ) -> None:
        self.algorithm = algorithm
        self.feed = feed
        self.options = options
        self.machine = machine
        self.params = params
        self.items_of_rank = options.meta_batch // machine.ranks
        self.items_at_once = options.at_once or self.items_of_rank

    def gradients(
        self, items: Iterator[Any], step: int, interrupt: bool, failure: Exception | None = None
    ) -> StepResult:
        """Those of step `step`; a DivergenceError names the cause and leaves no gradient behind.

        `failure` is an error of this rank since the last step: all ranks raise in its place.
        """
        loss, buffers, reason = torch.full((), torch.nan), Tensors(), None
        try:
            if failure is None:
                loss, buffers = self._own_gradients(items, step)
        except DivergenceError as error:
            # The other ranks wait for this one's part: it sends an undefined loss.
            reason = error
        except Exception as error:
            if self.machine.ranks == 1:
                raise
            failure = error
        if reason is not None or failure is not None:
            self._forget_gradients()
        if self.machine.ranks > 1:
            loss, buffers, interrupt = self._sum_over_ranks(loss, buffers, interrupt, failure)
        grads = [value.grad for value in self.params.values() if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        # One transfer from the device for both.
        loss_value, norm_value = torch.stack([loss.to(norm), norm]).tolist()
        if reason is not None or not math.isfinite(loss_value) or not math.isfinite(norm_value):
            self._forget_gradients()
            numbers = f"loss {loss_value:.4g}, norm of the gradient {norm_value:.4g}"
            raise DivergenceError(self._explain(step, numbers, reason)) from reason
        if self.options.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.params.values(), self.options.clip, norm)
        return StepResult(loss_value, norm_value, buffers, interrupt)

    def _own_gradients(self, items: Iterator[Any], step: int) -> tuple[Tensor, Tensors]:
        """This rank's part of the loss and, in the parameters, of the gradient."""
        at_once, meta_batch = self.items_at_once, self.options.meta_batch
        ranks = self.machine.ranks
        number = (step - 1) * meta_batch + self.machine.rank
        losses: list[Tensor] = []
        buffers: list[Tensors] = []
        for _ in range(self.items_of_rank // at_once):
            numbers = range(number, number + at_once * ranks, ranks)
            number += at_once * ranks
            result = self._training_step(self._next_items(items, step), numbers, step)
            loss = result.loss
            if at_once != meta_batch:
                # The losses of the parts add up to the mean over the whole meta-batch.
                loss = loss * (at_once / meta_batch)
            if not losses:
                # The gradients of the step before. Freed any earlier, they are the top of the heap,
                # and the C library returns all the memory of the step to the system, which then
                # brings it in again page by page.
                self._forget_gradients()
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            buffers.append(result.buffers)
        return functools.reduce(torch.add, losses), self._merge_parts(buffers)

    def _next_items(self, items: Iterator[Any], step: int) -> list[Any]:
        part = list(islice(items, self.items_at_once))
        if len(part) < self.items_at_once:
            raise InputError(
                f"step {step} of {self.options.steps} needs {self.options.meta_batch} more items"
                f" and the {type(self.feed).__name__} ended; it must yield all that it is asked"
                " for."
            )
        return part

    def _training_step(self, items: Sequence[Any], numbers: Sequence[int], step: int) -> Step:
        # Items with plans carry their numbers themselves.
        planned = all(getattr(item, "plan", None) is not None for item in items)
        items = [move_item(item, self.machine.device) for item in items]
        more: dict[str, Any] = {
            "seed": self.options.seed,
            "indices": None if planned else list(numbers),
        }
        with self.machine.autocast():
            if isinstance(self.algorithm, Pretraining):
                return self.algorithm.training_step(items, **more)
            epoch = (step - 1) // self.options.epoch_steps
            return self.algorithm.training_step(items, epoch=epoch, **more)

    def _merge_parts(self, parts: Sequence[Tensors]) -> Tensors:
        """The mean of new buffers; a part that left one alone counts with its value of before."""
        if len(parts) == 1:
            return parts[0]
        before = dict(self.algorithm.named_buffers())
        names = dict.fromkeys(name for part in parts for name in part)
        return merge_buffers(
            [{name: part.get(name, before[name]) for name in names} for part in parts]
        )

    # -- ranks -------------------------------------------------------------------------------------

    def _sum_over_ranks(
        self, loss: Tensor, buffers: Tensors, interrupt: bool, failure: Exception | None
    ) -> tuple[Tensor, Tensors, bool]:
        """The sum of losses and of gradients, and the mean of new buffers.

        A rank without a gradient or a new buffer that another rank has takes part with zeros, or
        with the buffer's old value. A failure of one rank is raised on all.
        """
        machine, before = self.machine, dict(self.algorithm.named_buffers())
        has_gradient = [value.grad is not None for value in self.params.values()]
        has_buffer = [name in buffers for name in before]
        # One message of numbers: the loss, then flags, whose sum is above 0 where any rank set one.
        numbers = [interrupt, failure is not None, *has_gradient, *has_buffer]
        message = torch.tensor(
            [float(loss), *map(float, numbers)], dtype=torch.float64, device=machine.device
        )
        total, *sums = machine.sum(message).tolist()
        any_interrupt, any_failure, *flags = [number > 0 for number in sums]
        if any_failure:
            self._forget_gradients()
            raise_failure(machine, failure)
        any_gradient, any_buffer = flags[: len(has_gradient)], flags[len(has_gradient) :]
        params = [
            value
            for value, shared in zip(self.params.values(), any_gradient, strict=True)
            if shared
        ]
        names = [name for name, shared in zip(before, any_buffer, strict=True) if shared]
        own = [torch.zeros_like(each) if each.grad is None else each.grad for each in params]
        sums = self._sums([*own, *(buffers.get(name, before[name]).detach() for name in names)])
        for value, summed in zip(params, sums[: len(params)], strict=True):
            value.grad = summed
        merged = {}
        for name, summed in zip(names, sums[len(params) :], strict=True):
            # Counts are one more on some ranks than on others: their mean, rounded up, is the
            # largest.
            is_float = summed.is_floating_point()
            merged[name] = summed / machine.ranks if is_float else -(-summed // machine.ranks)
        return torch.tensor(total, dtype=torch.float64), merged, any_interrupt

    def _sums(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sum over ranks of each tensor: all of one kind go in one message."""
        sums = list(tensors)
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            places = [place for place, tensor in enumerate(tensors) if tensor.dtype == dtype]
            flat = self.machine.sum(torch.cat([tensors[place].reshape(-1) for place in places]))
            parts = torch.split(flat, [tensors[place].numel() for place in places])
            for place, part in zip(places, parts, strict=True):
                sums[place] = part.view_as(tensors[place])
        return sums

    # -- causes of divergence ----------------------------------------------------------------------

    def _explain(self, step: int, numbers: str, reason: DivergenceError | None) -> str:
        causes = self._causes(step)
        detail = "; ".join(causes[:_NAMED])
        if len(causes) > _NAMED:
            detail += f"; and {len(causes) - _NAMED} more"
        if not causes:
            detail = str(reason or "no item alone; all together, or one of another rank")
        return (
            f"step {step} was not done ({numbers}): {detail}. Parameters, optimiser and buffers are"
            " as they were before it. Lower lr or the inner rate, give clip=, or look at the items"
            " that are named."
        )

    def _causes(self, step: int) -> list[str]:
        """The items that alone have a loss or a gradient that is not finite; all are read again."""
        rank, ranks = self.machine.rank, self.machine.ranks
        first = (step - 1) * self.options.meta_batch
        stop = first + self.options.meta_batch
        items = self.feed.read(first, stop, rank=rank, ranks=ranks)
        numbers = range(first + rank, stop, ranks)
        faults = [
            self._fault(item, number, step) for number, item in zip(numbers, items, strict=True)
        ]
        return [fault for fault in faults if fault]

    def _fault(self, item: Any, number: int, step: int) -> str:
        kind = "batch" if isinstance(self.algorithm, Pretraining) else "episode"
        plan = getattr(item, "plan", None)
        name = f"{kind} {number}"
        if plan is not None:
            name = f"{kind} {plan.index} of {plan.source!r}"
        try:
            loss = self._training_step([item], [number], step).loss
            loss.backward()  # type: ignore[no-untyped-call]
            broken = [key for key, value in self.params.items() if not _is_finite(value.grad)]
        except DivergenceError as error:
            return f"{name}: {error}"
        finally:
            self._forget_gradients()
        if not _is_finite(loss):
            return f"{name} has the loss {float(loss.detach())}"
        if broken:
            return f"{name} has a gradient that is not finite, of {broken[0]!r} and others"
        return ""

    def _forget_gradients(self) -> None:
        for value in self.params.values():
            value.grad = None


def move_item(item: Any, device: torch.device) -> Any:
    """Move an episode or a batch to the machine's device; feeds read to the CPU."""
    move = getattr(item, "to", None)
    return item if device.type == "cpu" or move is None else move(device, non_blocking=True)


def _is_finite(value: Tensor | None) -> bool:
    return value is None or bool(torch.isfinite(value).all())

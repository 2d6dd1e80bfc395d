"""One step's loss and gradients, taken whole or not at all."""

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
from torchcross.training.feed import Feed
from torchcross.training.machine import Machine
from torchcross.training.options import FitOptions

__all__ = ["Outcome", "Stepper"]

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step is to be done with. Gradients are in the parameters; `asked`: some rank was asked
    to stop.
    """

    loss: float
    norm: float
    buffers: Tensors
    asked: bool


@final
class Stepper:
    """Computes gradients of meta-batches, added up piece by piece and over ranks, and vouches that
    they are finite.
    """

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
        self.share = options.meta_batch // machine.ranks
        self.each = self.share if options.at_once is None else options.at_once

    def gradients(self, items: Iterator[Any], step: int, asked: bool) -> Outcome:
        """Of step number `step`; a DivergenceError names who is to blame and leaves no gradient
        behind.
        """
        try:
            loss, buffers = self._own(items, step)
            reason = None
        except DivergenceError as error:
            # The other ranks wait for this one's part: it takes part with a loss that is none.
            self._forget()
            loss, buffers, reason = torch.full((), torch.nan), {}, error
        total, asked, buffers = self._together(loss, asked, buffers)
        grads = [value.grad for value in self.params.values() if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        values = torch.stack([total.to(norm), norm]).tolist()
        if reason is not None or not all(map(math.isfinite, values)):
            self._forget()
            raise DivergenceError(self._blame(step, values, reason)) from reason
        if self.options.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.params.values(), self.options.clip, norm)
        return Outcome(values[0], values[1], buffers, asked)

    def _own(self, items: Iterator[Any], step: int) -> tuple[Tensor, Tensors]:
        """This rank's share of the loss and, in the parameters, of the gradient."""
        each, pieces = self.each, self.share // self.each
        start = (step - 1) * self.options.meta_batch + self.machine.rank
        losses: list[Tensor] = []
        trees: list[Any] = []
        for piece in range(pieces):
            numbers = [start + (piece * each + place) * self.machine.ranks for place in range(each)]
            taken = self._training_step(self._next(items, step), numbers, step)
            whole = each == self.options.meta_batch
            loss = taken.loss if whole else taken.loss * (each / self.options.meta_batch)
            if not losses:
                # Those of the step before. Freed any earlier, they are the top of the heap, and the
                # C library hands all that the step has used back to the system, to have it brought
                # in again page by page.
                self._forget()
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            trees.append(taken.buffers)
        return functools.reduce(torch.add, losses), self._merged(trees)

    def _next(self, items: Iterator[Any], step: int) -> list[Any]:
        taken = list(islice(items, self.each))
        if len(taken) < self.each:
            raise InputError(
                f"step {step} of {self.options.steps} needs {self.options.meta_batch} more items"
                f" and the {type(self.feed).__name__} ended; it must yield all that it is asked"
                " for."
            )
        return taken

    def _training_step(self, items: Sequence[Any], numbers: Sequence[int], step: int) -> Step:
        # Plans carry the numbers of their episodes.
        indices = (
            None if all(getattr(item, "plan", None) is not None for item in items) else numbers
        )
        items = [moved(item, self.machine.device) for item in items]
        with self.machine.autocast():
            if isinstance(self.algorithm, Pretraining):
                return self.algorithm.training_step(items, seed=self.options.seed, indices=indices)
            epoch = (step - 1) // self.options.epoch_steps
            return self.algorithm.training_step(
                items, epoch=epoch, seed=self.options.seed, indices=indices
            )

    def _merged(self, trees: Sequence[Tensors]) -> Tensors:
        """One tree of buffers; a piece that left one alone stands for its value of before."""
        if len(trees) == 1:
            return trees[0]
        before = dict(self.algorithm.named_buffers())
        names = {name: None for tree in trees for name in tree}
        whole = [{name: tree.get(name, before[name]) for name in names} for tree in trees]
        return merge_buffers(whole)

    # -- ranks -------------------------------------------------------------------------------------

    def _together(
        self, loss: Tensor, asked: bool, buffers: Tensors
    ) -> tuple[Tensor, bool, Tensors]:
        """Over ranks: the sum of losses, and of gradients and the mean of buffers that any of them
        has new ones of.
        """
        if self.machine.ranks == 1:
            return loss, asked, buffers
        before = dict(self.algorithm.named_buffers())
        has = [value.grad is not None for value in self.params.values()] + [
            name in buffers for name in before
        ]
        flags = torch.tensor(
            [float(loss), asked, *has], dtype=torch.float64, device=self.machine.device
        )
        total, anyone, *there = self.machine.sum(flags).tolist()
        for value, wanted in zip(self.params.values(), there, strict=False):
            if wanted:
                value.grad = self.machine.sum(
                    torch.zeros_like(value) if value.grad is None else value.grad
                )
        merged, ranks = {}, self.machine.ranks
        for (name, own), wanted in zip(before.items(), there[len(self.params) :], strict=True):
            if wanted:
                summed = self.machine.sum(buffers.get(name, own).detach().clone())
                # Counts are one more on some ranks and as they were on others: rounded up, their
                # mean is the largest.
                merged[name] = summed / ranks if own.is_floating_point() else -(-summed // ranks)
        return torch.tensor(total), bool(anyone), merged

    # -- blame -------------------------------------------------------------------------------------

    def _blame(self, step: int, values: Sequence[float], reason: DivergenceError | None) -> str:
        found = f"loss {values[0]:.4g}, norm of the gradient {values[1]:.4g}"
        culprits = self._culprits(step)
        named = "; ".join(culprits[:3]) + (
            f"; and {len(culprits) - 3} more" if len(culprits) > 3 else ""
        )
        detail = named or (
            str(reason) if reason is not None else "none alone; all together, or another rank's"
        )
        return (
            f"step {step} was not done ({found}): {detail}. Parameters, optimiser and buffers are"
            " as they were before it. Lower lr or the inner rate, give clip=, or look at what is"
            " named."
        )

    def _culprits(self, step: int) -> list[str]:
        """Whoever, taken alone, has a loss or a gradient that is not finite; everything is read
        again to see.
        """
        first, ranks = (step - 1) * self.options.meta_batch, self.machine.ranks
        numbers = range(first + self.machine.rank, first + self.options.meta_batch, ranks)
        items = self.feed.read(
            first, first + self.options.meta_batch, rank=self.machine.rank, ranks=ranks
        )
        return [
            name
            for number, item in zip(numbers, items, strict=True)
            if (name := self._fault(item, number, step))
        ]

    def _fault(self, item: Any, number: int, step: int) -> str:
        what = "batch" if isinstance(self.algorithm, Pretraining) else "episode"
        plan = getattr(item, "plan", None)
        name = f"{what} {number}" if plan is None else f"{what} {plan.index} of {plan.source!r}"
        try:
            loss = self._training_step([item], [number], step).loss
            loss.backward()  # type: ignore[no-untyped-call]
            broken = [key for key, value in self.params.items() if not _finite(value.grad)]
        except DivergenceError as error:
            return f"{name}: {error}"
        finally:
            self._forget()
        if not _finite(loss):
            return f"{name} has the loss {float(loss.detach())}"
        return (
            f"{name} has a gradient that is not finite, of {broken[0]!r} and others"
            if broken
            else ""
        )

    def _forget(self) -> None:
        for value in self.params.values():
            value.grad = None


def moved(item: Any, device: torch.device) -> Any:
    """An episode or a batch where the machine computes; feeds read to the CPU."""
    move = getattr(item, "to", None)
    return item if device.type == "cpu" or move is None else move(device, non_blocking=True)


def _finite(value: Tensor | None) -> bool:
    return value is None or bool(torch.isfinite(value).all())

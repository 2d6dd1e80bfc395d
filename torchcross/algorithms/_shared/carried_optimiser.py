"""The state of an inner optimiser that is carried from one inner loop to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from torchcross.functional import Optimiser, Problem
from torchcross.functional.loop.carried_state import carry_on


@final
@dataclass(frozen=True)
class OptimiserState:
    """What an optimiser knows after `steps` steps, by the names of the algorithm's parameters."""

    tensors: Mapping[str, Tensor]
    steps: int

    def begin(self, problem: Problem, names: Mapping[str, str]) -> Problem:
        """The problem whose loop goes on from here.

        `names` are the algorithm's names of the parameters that the loop adapts, by its own names.
        """
        local_names = {known: local for local, known in names.items()}
        state = {
            f"{kind}/{local_names[name]}": value
            for key, value in self.tensors.items()
            for kind, _, name in [key.partition("/")]
            if name in local_names
        }
        optimiser = carry_on(problem.inner.optimiser, state, self.steps)
        inner = dataclasses.replace(problem.inner, optimiser=optimiser)
        return dataclasses.replace(problem, inner=inner)

    def after(
        self, state: Mapping[str, Tensor], names: Mapping[str, str], steps: int
    ) -> OptimiserState:
        """The state after a loop of so many steps; what it did not adapt stays as it was."""
        tensors = dict(self.tensors)
        for key, value in state.items():
            kind, _, local = key.partition("/")
            tensors[f"{kind}/{names[local]}"] = value.detach()
        return OptimiserState(tensors, self.steps + steps)


@final
class CarriedOptimiser(nn.Module):
    """The state that the next training step begins with, as buffers of the algorithm."""

    def __init__(self, optimiser: Optimiser, params: Mapping[str, Tensor]) -> None:
        super().__init__()
        detached = {name: value.detach() for name, value in params.items()}
        # Torch allows no dots in the names of buffers.
        self._slots = {key: key.replace(".", ":") for key in optimiser.init(detached)}
        for key, value in optimiser.init(detached).items():
            # Optimisers start several kinds from one tensor of zeros.
            self.register_buffer(self._slots[key], value.clone())
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def state(self) -> OptimiserState:
        tensors = {key: self.get_buffer(slot) for key, slot in self._slots.items()}
        return OptimiserState(tensors, int(self.get_buffer("steps")))

    def buffers_of(self, state: OptimiserState) -> dict[str, Tensor]:
        """The buffers of a state, by their names in this module."""
        steps = torch.full_like(self.get_buffer("steps"), state.steps)
        return {**{self._slots[key]: value for key, value in state.tensors.items()}, "steps": steps}

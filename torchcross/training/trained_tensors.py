"""The tensors that training moves: out of the algorithm and its optimiser into a checkpoint, and
back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from torchcross.errors import InputError, ReadError
from torchcross.training.options import FitOptions

__all__ = ["Trained", "weights_in"]

Tensors = dict[str, Tensor]
_OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@final
class Trained:
    """A module with its optimiser and the moving average of its parameters."""

    def __init__(self, module: nn.Module, options: FitOptions) -> None:
        self.module = module
        self.params: Tensors = {
            name: value for name, value in module.named_parameters() if value.requires_grad
        }
        self.buffers = dict(module.named_buffers())
        if not self.params:
            raise InputError(
                f"{type(module).__name__} has no parameter that requires a gradient: nothing to"
                " train."
            )
        self.optimiser = _optimiser(self.params.values(), options)
        self.decay = options.ema
        self.average = (
            {}
            if options.ema is None
            else {name: value.detach().clone() for name, value in self.params.items()}
        )

    # -- moving ------------------------------------------------------------------------------------

    def move(self, lr: float, buffers: Mapping[str, Tensor], step: int) -> None:
        """One step along the gradients that the parameters hold and keep, and the buffers' new
        values.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.step()
        with torch.no_grad():
            for name, value in buffers.items():
                self.buffers[name].copy_(value)
            if self.decay is not None:
                # The average of the first steps would otherwise be the untrained weights (as in
                # TensorFlow's EMA).
                decay = min(self.decay, (1 + step) / (10 + step))
                for name, value in self.params.items():
                    self.average[name].lerp_(value, 1.0 - decay)

    def forget_gradients(self) -> None:
        for value in self.params.values():
            value.grad = None

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the module has the averaged parameters, where there is an average."""
        before = {name: self.params[name].detach().clone() for name in self.average}
        self._assign(self.average)
        try:
            yield
        finally:
            self._assign(before)

    def _assign(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self.params[name].copy_(value)

    # -- keeping -----------------------------------------------------------------------------------

    def weights(self) -> Tensors:
        """What the module is to be used with: parameters (averaged where there is an average) and
        buffers.
        """
        return {**self.state(), **self.average}

    def use(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.state().items():
                value.copy_(weights[name])

    def tensors(self) -> Tensors:
        """Everything, by the names of a checkpoint."""
        names = {id(value): name for name, value in self.params.items()}
        return {
            **{f"model:{name}": value for name, value in self.state().items()},
            **{f"average:{name}": value for name, value in self.average.items()},
            **{
                f"optimiser:{names[id(param)]}:{key}": value
                for param, state in self.optimiser.state.items()
                for key, value in state.items()
                if isinstance(value, Tensor)
            },
        }

    def restore(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """The reverse. Everything is checked before anything moves."""
        own = {f"model:{name}": value for name, value in self.state().items()}
        own |= {f"average:{name}": value for name, value in self.average.items()}
        for name, value in own.items():
            _check(where, name, tensors.get(name), value)
        states: dict[str, Tensors] = {}
        for name in tensors.keys() - own.keys():
            param, key = self._place(where, name)
            if tensors[name].dim():
                _check(where, name, tensors[name], self.params[param])
            states.setdefault(param, {})[key] = tensors[name]
        keys = {frozenset(state) for state in states.values()}
        if len(keys) > 1:
            raise ReadError(
                f"{where} lacks tensors of the optimiser for some parameters; it is no whole"
                " checkpoint."
            )
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(tensors[name])
        self.optimiser.state.clear()
        for param in sorted(states):
            like = self.params[param]
            self.optimiser.state[like] = {
                key: value.to(like.device).clone() for key, value in states[param].items()
            }

    def _place(self, where: str, name: str) -> tuple[str, str]:
        part, _, rest = name.partition(":")
        param, _, key = rest.rpartition(":")
        if part != "optimiser" or param not in self.params or not key:
            raise ReadError(f"{where} holds the tensor {name!r}, which this run has no place for.")
        return param, key

    def state(self) -> Tensors:
        """Parameters and buffers themselves, those of `persistent=False` too."""
        named = {**dict(self.module.named_parameters()), **self.buffers}
        return {name: value.detach() for name, value in named.items()}


def weights_in(tensors: Mapping[str, Tensor]) -> Tensors:
    """The weights to use, out of a checkpoint's tensors."""
    plain = {
        name.partition(":")[2]: value
        for name, value in tensors.items()
        if name.startswith("model:")
    }
    return plain | {
        name.partition(":")[2]: value
        for name, value in tensors.items()
        if name.startswith("average:")
    }


def _optimiser(params: Iterable[Tensor], options: FitOptions) -> torch.optim.Optimizer:
    # Fused: one pass over all parameters, on a CPU too; the loop over them would cost more than all
    # else here.
    if options.optimiser == "sgd":
        return torch.optim.SGD(
            params,
            lr=options.lr,
            weight_decay=options.weight_decay,
            momentum=options.momentum,
            fused=True,
        )
    kind: Callable[..., torch.optim.Optimizer] = _OPTIMISERS[options.optimiser]
    return kind(params, lr=options.lr, weight_decay=options.weight_decay, fused=True)


def _check(where: str, name: str, found: Tensor | None, wanted: Tensor) -> None:
    if found is None:
        raise ReadError(
            f"{where} lacks the tensor {name!r}; it is of another algorithm or backbone."
        )
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        raise ReadError(
            f"{where}: {name!r} is {found.dtype} of shape {tuple(found.shape)} and this run has"
            f" {wanted.dtype} of shape {tuple(wanted.shape)}; it is of another algorithm or"
            " backbone."
        )

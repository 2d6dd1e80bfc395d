"""The tensors that training changes: of the algorithm, its optimiser and the average."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from torchcross.errors import InputError, ReadError
from torchcross.training.options import FitOptions

Tensors = dict[str, Tensor]
_OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@final
class TrainedTensors:
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
        self.average: Tensors = {}
        if options.ema is not None:
            self.average = {name: value.detach().clone() for name, value in self.params.items()}

    # -- changing ----------------------------------------------------------------------------------

    def step(self, lr: float, buffers: Mapping[str, Tensor], step: int) -> None:
        """One step of the optimiser along the gradients of the parameters, and new buffer values.

        The gradients stay.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.step()
        with torch.no_grad():
            for name, value in buffers.items():
                self.buffers[name].copy_(value)
            if self.decay is not None:
                # As in TensorFlow: with the full decay, the average of the first steps would be
                # the untrained weights.
                decay = min(self.decay, (1 + step) / (10 + step))
                for name, value in self.params.items():
                    self.average[name].lerp_(value, 1.0 - decay)

    def forget_gradients(self) -> None:
        for value in self.params.values():
            value.grad = None

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
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

    # -- checkpoints -------------------------------------------------------------------------------

    def weights(self) -> Tensors:
        """The weights to use: parameters, averaged where there is an average, and buffers."""
        return {**self.state(), **self.average}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.state().items():
                value.copy_(weights[name])

    def tensors(self) -> Tensors:
        """All tensors, by their names in a checkpoint."""
        tensors = self._own_tensors()
        names = {id(value): name for name, value in self.params.items()}
        for param, state in self.optimiser.state.items():
            for key, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser:{names[id(param)]}:{key}"] = value
        return tensors

    def _own_tensors(self) -> Tensors:
        """Those of the module and its average."""
        return {f"model:{name}": value for name, value in self.state().items()} | {
            f"average:{name}": value for name, value in self.average.items()
        }

    def restore(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """The reverse of `tensors`. All are checked before any is changed."""
        own = self._own_tensors()
        for name, value in own.items():
            check_shape(where, name, tensors.get(name), value)
        states: dict[str, Tensors] = {}
        for name in tensors.keys() - own.keys():
            param, key = self._optimiser_place(where, name)
            if tensors[name].dim():
                check_shape(where, name, tensors[name], self.params[param])
            states.setdefault(param, {})[key] = tensors[name]
        keys = {frozenset(state) for state in states.values()}
        if len(keys) > 1:
            raise ReadError(
                f"{where} lacks tensors of the optimiser for some parameters; it is not a whole"
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

    def _optimiser_place(self, where: str, name: str) -> tuple[str, str]:
        part, _, rest = name.partition(":")
        param, _, key = rest.rpartition(":")
        if part != "optimiser" or param not in self.params or not key:
            raise ReadError(f"{where} holds the tensor {name!r}, which this run does not have.")
        return param, key

    def state(self) -> Tensors:
        """Parameters and buffers themselves, also buffers of `persistent=False`."""
        values = {**dict(self.module.named_parameters()), **self.buffers}
        return {name: value.detach() for name, value in values.items()}


def weights_in(tensors: Mapping[str, Tensor]) -> Tensors:
    """The weights to use, from a checkpoint's tensors: an average wins over the last values."""
    weights: Tensors = {}
    for prefix in ("model:", "average:"):
        for name, value in tensors.items():
            if name.startswith(prefix):
                weights[name.removeprefix(prefix)] = value
    return weights


def _optimiser(params: Iterable[Tensor], options: FitOptions) -> torch.optim.Optimizer:
    # Fused: one pass over all parameters, on a CPU too. Without it, torch's loop over them costs
    # more than everything else here.
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


def check_shape(where: str, name: str, value: Tensor | None, expected: Tensor) -> None:
    if value is None:
        raise ReadError(
            f"{where} lacks the tensor {name!r}; it is of another algorithm or backbone."
        )
    if value.shape != expected.shape or value.dtype != expected.dtype:
        raise ReadError(
            f"{where}: {name!r} is {value.dtype} of shape {tuple(value.shape)} and this run has"
            f" {expected.dtype} of shape {tuple(expected.shape)}; it is of another algorithm or"
            " backbone."
        )

"""The copies of a module that forwards run: one for each forward that runs at the same time."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.functional.network.attention import may_call_attention
from torchcross.functional.network.checks import LaneFault
from torchcross.functional.network.configuration import Configuration
from torchcross.functional.network.dropout import substitute_dropout
from torchcross.functional.network.fusion import pool_before_relu, substitute_convolution
from torchcross.functional.network.kept_tensors import kept_attribute
from torchcross.functional.network.norm_layers import substitute_norm
from torchcross.functional.network.norm_policies import Draw, FrameHolder, NormPolicy, buffer_name
from torchcross.functional.network.spectral_norm import VECTORS, substitute_spectral_norm
from torchcross.functional.network.structural_copy import structural_copy
from torchcross.functional.network.training_mode import training_layers


@dataclass(frozen=True)
class ModuleCopy:
    """A copy that one forward at a time runs, and the slot in which its layers see the frame."""

    module: nn.Module
    holder: FrameHolder
    norm_layers: tuple[str, ...]
    vectors: tuple[str, ...]


Layout: TypeAlias = tuple[tuple[torch.dtype, torch.Size, int], ...]
"""(dtype, shape of a sample, digits of the number of samples) of each input."""

_NUMBERS = itertools.count()


class ModuleCopies:
    """All that is known of a module as it was at one moment, and its copies.

    A forward takes a copy out and puts it back. A second thread, or a forward inside a forward,
    gets another copy: calls never meet. The copies that are idle are used again, the last one
    first, so one thread always runs the same copy. Training mode has copies of its own.
    """

    def __init__(self, module: nn.Module, policy: NormPolicy, *, fast: bool) -> None:
        self.number = next(_NUMBERS)
        self.configuration = Configuration(module)
        self.param_names = _aliases(module, "_parameters")
        self.buffer_names = _aliases(module, "_buffers")
        self.is_checked = False
        self.lane_fault: LaneFault = None
        self.layouts: dict[Layout, bool] = {}
        self._policy, self._fast = policy, fast
        # Never run, so that it can be copied at any time.
        self._template = structural_copy(module)
        self.training_layers = training_layers(self._template)
        self.draws: dict[Any, dict[str, Draw]] = {}
        first = self._new_copy(training=False)
        self.norm_layers, self.vectors = first.norm_layers, frozenset(first.vectors)
        self.norm_buffers = frozenset(
            _names_within(first.norm_layers, "running_mean", "running_var", "num_batches_tracked")
        )
        self._has_images = any(isinstance(layer, nn.Conv2d) for layer in module.modules())
        self.may_call_attention = may_call_attention(module)
        self.frame_buffers = self.norm_buffers | self.vectors
        self._is_reusable = True
        self._idle: dict[bool, list[ModuleCopy]] = {False: [first], True: []}

    @property
    def affine_names(self) -> list[str]:
        """The weights and biases of the BatchNorm layers, by name."""
        return _names_within(self.norm_layers, "weight", "bias")

    def is_current(self, module: nn.Module) -> bool:
        """Whether the module is what it was; other tensors in the same places change nothing."""
        if self.configuration.is_unchanged():
            return True
        names = (_aliases(module, "_parameters"), _aliases(module, "_buffers"))
        has_same_names = names == (self.param_names, self.buffer_names)
        if not (has_same_names and self.configuration.is_only_other_tensors()):
            return False
        self.configuration = Configuration(module)
        return True

    def layout_of(self, inputs: tuple[Any, ...]) -> Layout | None:
        """What decides whether channels may be last for these inputs; None where none would be.

        The number of samples counts by its power of two: weights larger than the images stay as
        they are.
        """
        images = [value for value in inputs if isinstance(value, Tensor) and value.dim() > 1]
        if not self._has_images or any(_is_double_or_elsewhere(value) for value in images):
            return None
        return tuple(
            (value.dtype, value.shape[1:], value.shape[0].bit_length()) for value in images
        )

    def take(self, *, training: bool) -> ModuleCopy:
        """A copy that no other forward runs."""
        try:
            return self._idle[training].pop()
        except IndexError:
            return self._new_copy(training=training)

    def put_back(self, module_copy: ModuleCopy, *, training: bool) -> None:
        if self._is_reusable:
            self._idle[training].append(module_copy)

    def kept_attribute(self) -> str | None:
        """Which attribute of a copy that has run holds a tensor of that run, if any does."""
        idle = [*self._idle[False], *self._idle[True]]
        attributes = (kept_attribute(module_copy.module, self._template) for module_copy in idle)
        return next((attribute for attribute in attributes if attribute), None)

    def use_once(self) -> None:
        """From now on, give each forward a new copy: copies keep tensors of the call."""
        self._is_reusable = False
        self._idle = {False: [], True: []}

    def _new_copy(self, *, training: bool) -> ModuleCopy:
        """One more copy of the template; the layers' new forwards refer to each other."""
        tensors = [*_tensors_of(self._template)]
        module = copy.deepcopy(self._template, {id(tensor): tensor for tensor in tensors})
        module.train(training)
        holder, norm_layers, vectors = FrameHolder(), [], []
        for name, layer in module.named_modules():
            if substitute_norm(layer, name, holder, self._policy):
                norm_layers.append(name)
            elif substitute_spectral_norm(layer, name, holder):
                vectors += [buffer_name(name, part) for part in VECTORS]
            elif not substitute_dropout(layer, name, holder) and self._fast:
                substitute_convolution(layer, holder)
                pool_before_relu(layer)
        return ModuleCopy(module, holder, tuple(norm_layers), tuple(vectors))


def _is_double_or_elsewhere(value: Tensor) -> bool:
    return value.dtype == torch.float64 or value.device.type != "cpu"


def own_tensors(
    who: str, tensors: dict[str, Tensor], names: dict[str, list[str]], kind: str
) -> dict[str, Tensor]:
    """The module's own among these tensors, under every name that the module has for them."""
    missing = [name for name in names if name not in tensors]
    if missing:
        raise InputError(
            f"the {kind}s lack {', '.join(map(repr, missing[:5]))} of {who}; start from"
            " `network.state()` and keep its names."
        )
    return {alias: tensors[name] for name, aliases in names.items() for alias in aliases}


def _tensors_of(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _names_within(layers: tuple[str, ...], *parts: str) -> list[str]:
    # The module may itself be a BatchNorm: its name is empty.
    return [f"{layer}.{part}".lstrip(".") for layer in layers for part in parts]


def _aliases(module: nn.Module, kind: str) -> dict[str, list[str]]:
    """First name of a tensor -> the names of every place that holds it.

    A layer with two names is one place.
    """
    first: dict[int, str] = {}
    names: dict[str, list[str]] = {}
    for prefix, layer in module.named_modules():
        for local, tensor in vars(layer)[kind].items():
            if tensor is not None:
                name = f"{prefix}.{local}" if prefix else local
                names.setdefault(first.setdefault(id(tensor), name), []).append(name)
    return names

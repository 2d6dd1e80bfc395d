"""How far rounding may move a gradient: the same gradient with everything moved by a little.

A ReLU or a max-pooling whose input is nearly at a kink has one slope in float64 and the other in
float32. So a right gradient may jump by far more than the rounding that made it jump.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.utils import _pytree as pytree

from torchcross.functional import Meta, Problem


def move_params(meta: Meta, size: float, seed: int = 0) -> Meta:
    """The parameters, each moved by `size` of itself, times a normal number."""
    params = {}
    for place, (name, value) in enumerate(meta.params.items()):
        generator = torch.Generator().manual_seed(1000 * seed + place)
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        params[name] = value * (1 + size * noise.to(value)) if value.is_floating_point() else value
    return dataclasses.replace(meta, params=params)


def move_data(problem: Problem, size: float, seed: int) -> Problem:
    def move(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return value * (1 + size * _waves(value, seed))

    return dataclasses.replace(problem, data=pytree.tree_map(move, problem.data))


@contextmanager
def move_sums(size: float, seed: int) -> Iterator[None]:
    """While this is open, what layers with parameters return is moved, in this thread.

    Each number of an output moves by up to `size` of the output's mean magnitude: sums that are
    nearly zero are rounded like the others, and moving parameters alone moves them too little.
    """
    thread = threading.get_ident()

    def move(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return value + size * _waves(value, seed) * value.detach().abs().mean()

    def note(layer: nn.Module, inputs: Any, output: Any) -> Any:
        is_sum = bool(layer._parameters) and threading.get_ident() == thread
        return pytree.tree_map(move, output) if is_sum else None

    handle = torch_module.register_module_forward_hook(note)
    try:
        yield
    finally:
        handle.remove()


def _waves(like: Tensor, seed: int) -> Tensor:
    """Numbers from -1 to 1 that depend on the place and the seed alone.

    A layer that is run again, as some engines do, gets the same ones, and there is no generator
    that a transform of torch would refuse.
    """
    places = torch.arange(like.numel(), dtype=torch.float64, device=like.device)
    return torch.sin(places * (1.7 + 0.31 * seed) + seed).reshape(like.shape).to(like.dtype)

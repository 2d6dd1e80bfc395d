"""Backbones of other packages and plugin files: a function that makes any module of features."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from torchcross.backbones.base import Backbone, describe
from torchcross.backbones.foreign import draw_from
from torchcross.backbones.initial_values import Seed
from torchcross.backbones.wrap import as_backbone
from torchcross.errors import InputError


def checked_constructor(name: str, item: Any) -> Callable[..., Any]:
    """Refuse what cannot make a backbone, and names that would be addresses."""
    if not callable(item):
        raise InputError(
            f"the backbone {name!r} is a {type(item).__name__}; give a function of in_channels and"
            " other options that returns a module"
        )
    if not name.isidentifier():
        raise InputError(f"a backbone cannot be called {name!r}; give letters, digits and _")
    made: Callable[..., Any] = item
    return made


def build_added(
    construct: Callable[..., Any], name: str, options: Mapping[str, Any], seed: Seed
) -> Backbone:
    """What a constructor from elsewhere makes, as a backbone with a description.

    Its draws from torch's global generator are drawn from `seed`; where it takes `seed` it gets it.
    """
    own = {"seed": seed} if "seed" in inspect.signature(construct).parameters else {}
    with draw_from(seed):
        module = construct(**options, **own)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"the backbone {name!r} returned a {type(module).__name__}; it must return a module"
        )
    width = getattr(module, "num_features", None)
    channels = options.get("in_channels", 3)
    backbone = as_backbone(module, width if isinstance(width, int) else None, in_channels=channels)
    describe(backbone, name, options)
    return backbone

"""From a description to a backbone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.base import Backbone, BackboneSpec, attach
from torchcross.backbones.conv4 import conv4
from torchcross.backbones.initial_values import Seed
from torchcross.backbones.installed import from_timm, from_torchvision
from torchcross.backbones.mobilenet import mobilenet_v2
from torchcross.backbones.resnet import resnet18, resnet34, resnet50, resnet50_keras
from torchcross.backbones.vit import small_vit
from torchcross.errors import InputError

_CONSTRUCTORS: dict[str, Callable[..., Backbone]] = {
    "conv4": conv4,
    "from_timm": from_timm,
    "from_torchvision": from_torchvision,
    "mobilenet_v2": mobilenet_v2,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet50_keras": resnet50_keras,
    "small_vit": small_vit,
}


def build(spec: BackboneSpec | Mapping[str, Any], *, seed: Seed = 0) -> Backbone:
    """The backbone that `spec` describes, with fresh initial values, its weights' record and input
    normalisation.

    A description from a file may be wrong: its names and options are checked, and it can call
    nothing but the constructors of this package.
    """
    given = spec if isinstance(spec, BackboneSpec) else BackboneSpec.from_dict(spec)
    if not isinstance(given.name, str) or given.name not in _CONSTRUCTORS:
        raise InputError(unknown_name("backbone", given.name, _CONSTRUCTORS))
    construct = _CONSTRUCTORS[given.name]
    known = inspect.signature(construct).parameters
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())
    strange = [] if open_ended else sorted(set(given.options) - set(known))
    if strange or "seed" in given.options:
        raise InputError(
            f"the description of {given.name!r} has options {strange or ['seed']} that it does not"
            f" take; it takes {sorted(set(known) - {'seed'})}"
        )
    try:
        backbone = construct(**given.options, seed=seed)
    except TypeError as error:
        raise InputError(f"the description of {given.name!r} does not fit: {error}") from error
    attach(backbone, given.weights, inside=given.normalises)
    return backbone

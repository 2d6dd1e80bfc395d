"""From a description to a backbone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from torchcross._kit.extensions import Extensions
from torchcross._kit.suggestions import suggest
from torchcross.backbones.added import build_added, checked_constructor
from torchcross.backbones.base import Backbone, BackboneSpec, attach
from torchcross.backbones.conv4 import conv4
from torchcross.backbones.efficientnet_lite import efficientnet_lite0
from torchcross.backbones.image_statistics import image_statistics
from torchcross.backbones.initial_values import Seed
from torchcross.backbones.mobilenet import mobilenet_v2
from torchcross.backbones.open_clip_models import from_open_clip
from torchcross.backbones.resnet import resnet18, resnet34, resnet50, resnet50_keras
from torchcross.backbones.sketch import sketching
from torchcross.backbones.timm_models import from_timm
from torchcross.backbones.torchvision_models import from_torchvision
from torchcross.backbones.transformers_models import from_transformers
from torchcross.backbones.vectors import vectors
from torchcross.backbones.vit import small_vit
from torchcross.errors import InputError, TorchcrossError

CONSTRUCTORS: Extensions[Callable[..., Any]] = Extensions(
    {
        "conv4": conv4,
        "from_open_clip": from_open_clip,
        "from_timm": from_timm,
        "from_torchvision": from_torchvision,
        "from_transformers": from_transformers,
        "image_statistics": image_statistics,
        "efficientnet_lite0": efficientnet_lite0,
        "mobilenet_v2": mobilenet_v2,
        "resnet18": resnet18,
        "resnet34": resnet34,
        "resnet50": resnet50,
        "resnet50_keras": resnet50_keras,
        "small_vit": small_vit,
        "vectors": vectors,
    },
    group="torchcross.backbones",
    kind="backbone",
    check=checked_constructor,
)

# Without a configuration these look for one elsewhere.
_WITH_CONFIG = ("from_open_clip", "from_transformers")
# A description is of a network without its numbers: a file must not decide what is fetched.
_OF_WEIGHTS = ("pretrained", "revision", "cache", "normalisation", "inside")


def add_backbone(name: str, construct: Callable[..., Any]) -> None:
    """Add a backbone of your own by name: `construct(in_channels=..., **options)` makes its module.

    The module maps images (N, C, H, W) to features (N, D); an attribute `num_features` says how
    many, otherwise a dry run finds out. A plugin file calls this; an entry point of the group
    `torchcross.backbones` does the same for an installed package.
    """
    CONSTRUCTORS.add(name, construct)


def build(spec: BackboneSpec | Mapping[str, Any], *, seed: Seed = 0) -> Backbone:
    """The backbone that `spec` describes, with fresh initial values and its weights' record.

    A description from a file may be wrong: its names and options are checked, and it can call
    nothing but the constructors of this package, and those that were added by name.
    """
    if not isinstance(spec, BackboneSpec):
        spec = BackboneSpec.from_dict(spec)
    name, options = spec.name, spec.options
    if not isinstance(name, str) or name not in CONSTRUCTORS:
        raise InputError(CONSTRUCTORS.unknown_text(name))
    construct = CONSTRUCTORS[name]
    known, accepts_any = options_of(name)
    refused = ("seed", *_OF_WEIGHTS)
    unknown = [each for each in options if each in refused or not (accepts_any or each in known)]
    if unknown:
        raise InputError(
            f"the description of {name!r} has options {sorted(unknown)} that it does not take;"
            f" {suggest(min(unknown), known)}"
        )
    if name in _WITH_CONFIG and not options.get("config"):
        raise InputError(f"the description of {name!r} has no config")
    try:
        backbone = _construct(construct, name, options, seed)
    except TypeError as error:
        raise InputError(f"the description of {name!r} does not fit: {error}") from error
    attach(backbone, spec.weights, inside=spec.normalises)
    return backbone


def options_of(name: str) -> tuple[list[str], bool]:
    """The options of a backbone by its name, and whether it takes any others as well."""
    parts = inspect.signature(CONSTRUCTORS[name]).parameters
    accepts_any = any(part.kind is part.VAR_KEYWORD for part in parts.values())
    return sorted(set(parts) - {"seed", *_OF_WEIGHTS}), accepts_any


def _construct(
    construct: Callable[..., Any], name: str, options: Mapping[str, Any], seed: Seed
) -> Backbone:
    if name not in CONSTRUCTORS.own:
        return build_added(construct, name, options, seed)
    backbone: Backbone = construct(**options, seed=seed)
    return backbone


def sketch(spec: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Backbone:
    """The backbone that `spec` describes, on the meta device, where its tensors take no memory.

    One that is far larger than `tensors` is refused while it is built.
    """
    try:
        with sketching(tensors):
            return build(spec)
    except TorchcrossError:
        raise
    except Exception as error:
        # Options of a file reach the constructors of other packages, which may raise anything.
        raise InputError(
            f"the description of {spec.get('name')!r} cannot be built without memory"
            f" ({type(error).__name__}: {str(error).partition(chr(10))[0][:160]}); build the"
            " backbone yourself, and pass it"
        ) from error

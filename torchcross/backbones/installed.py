"""Models of timm and torchvision, if installed; weights come from local files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from torchcross._kit.argument_checks import checked_text
from torchcross.backbones.base import Backbone, Grey, describe
from torchcross.backbones.initial_values import Seed, generator_of
from torchcross.backbones.sketch import is_sketching
from torchcross.backbones.wrap import as_backbone
from torchcross.errors import InputError, MissingExtraError

# The usual names of a model's classifier, in the order in which they are tried.
_CLASSIFIERS = ("fc", "classifier", "heads", "head")
_FETCHING = (
    "pretrained",
    "weights",
    "weights_backbone",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "checkpoint_path",
)


def from_timm(
    name: str,
    *,
    in_channels: int = 3,
    grey: Grey = None,
    image_size: int = 224,
    seed: Seed = 0,
    **options: Any,
) -> Backbone:
    """`timm.create_model(name, num_classes=0, **options)`: its output is timm's pooled features."""
    _refuse_fetching(name, options)
    create = _module_named("timm").create_model
    with _drawing_from(seed):
        model = create(name, pretrained=False, num_classes=0, in_chans=in_channels, **options)
    patterns = ("fc.*", "classifier.*", "head.*")
    backbone = as_backbone(
        model, in_channels=in_channels, grey=grey, image_size=image_size, classifier=patterns
    )
    plain = {"name": name, "in_channels": in_channels, "grey": grey, "image_size": image_size}
    describe(backbone, "from_timm", {**plain, **options})
    return backbone


def from_torchvision(
    name: str, *, grey: Grey = None, image_size: int = 224, seed: Seed = 0, **options: Any
) -> Backbone:
    """`torchvision.models.get_model(name, **options)` without its last linear layer.

    Its vision transformers are built for images of `image_size`.
    """
    _refuse_fetching(name, options)
    get_model = _module_named("torchvision.models").get_model
    with _drawing_from(seed):
        model = get_model(name, weights=None, **_side_of(name, image_size), **options)
    last = _without_last_linear(name, model)
    backbone = as_backbone(model, grey=grey, image_size=image_size, classifier=(f"{last}.*",))
    plain = {"name": name, "grey": grey, "image_size": image_size}
    describe(backbone, "from_torchvision", {**plain, **options})
    return backbone


def _side_of(name: str, image_size: int) -> dict[str, int]:
    """What torchvision has to know of the images' side: its vision transformers fix it."""
    return {"image_size": image_size} if name.lower().startswith("vit_") else {}


def _module_named(name: str) -> ModuleType:
    distribution = name.partition(".")[0]
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"from_{distribution} needs {distribution}, which cannot be imported ({error}); install"
            f" {distribution}, or use a backbone of torchcross.backbones"
        ) from error


def _refuse_fetching(name: str, options: dict[str, Any]) -> None:
    """Refuse options that fetch or read weights, or that a description cannot hold."""
    if set(checked_text("name", name)) & set(":/\\"):
        raise InputError(f"name={name!r} is an address; give the plain name of an architecture")
    fetching = [option for option in _FETCHING if option in options]
    if fetching:
        raise InputError(
            f"{fetching[0]}= would fetch or read weights without a record of them; build the model"
            " without, then load_weights(backbone, path) from a local file"
        )
    not_plain = [option for option, value in options.items() if not _is_plain(value)]
    if not_plain:
        raise InputError(
            f"{not_plain[0]}= is not a number, a text or a list of them, so the backbone would have"
            " no description; build the model yourself and give it to as_backbone"
        )


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


@contextmanager
def _drawing_from(seed: Seed) -> Iterator[None]:
    """Let code that draws from the global generator draw from ours; restore the global one."""
    generator = generator_of(seed)
    device = torch.device("meta" if is_sketching() else "cpu")
    with torch.random.fork_rng(devices=[]), device:
        torch.random.set_rng_state(generator.get_state())
        yield
        if generator is seed:
            generator.set_state(torch.random.get_rng_state())


def _without_last_linear(name: str, model: nn.Module) -> str:
    """Replace the classifier's last linear layer by an identity; return its name."""
    for attribute in _CLASSIFIERS:
        block = getattr(model, attribute, None)
        if not isinstance(block, nn.Module):
            continue
        linears = [path for path, layer in block.named_modules() if isinstance(layer, nn.Linear)]
        if linears:
            path = ".".join(part for part in (attribute, linears[-1]) if part)
            model.set_submodule(path, nn.Identity())
            return path
    raise InputError(
        f"torchvision's {name!r} has no linear layer under {', '.join(_CLASSIFIERS)}; take its"
        " classifier off yourself and give the rest to as_backbone"
    )

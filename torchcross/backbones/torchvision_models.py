"""Models of torchvision, with random values or with the weights that torchvision names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.base import Backbone, Grey, attach, describe
from torchcross.backbones.foreign import (
    check_plain_name,
    draw_from,
    import_package,
    refuse_fetching_options,
    refuse_unused,
)
from torchcross.backbones.initial_values import Seed
from torchcross.backbones.weights import Normalisation, load_weights
from torchcross.backbones.wrap import as_backbone
from torchcross.errors import FetchError, InputError

_SIDE = 224
# The usual names of a model's classifier, in the order in which they are tried.
_CLASSIFIERS = ("fc", "classifier", "heads", "head")


def from_torchvision(
    name: str,
    *,
    pretrained: bool | str = False,
    normalisation: Normalisation | None = None,
    inside: bool = True,
    grey: Grey = None,
    image_size: int | None = None,
    seed: Seed = 0,
    **options: Any,
) -> Backbone:
    """`torchvision.models.get_model(name, **options)` without its last linear layer.

    `pretrained` is True for the weights that torchvision prefers, or a name of others
    ("IMAGENET1K_V1"). They come through torchvision's own cache. Its vision transformers are built
    for images of `image_size` (default: 224); for the other arguments, see `from_timm`.
    """
    refuse_fetching_options(options)
    check_plain_name(name)
    models = import_package("torchvision.models", "from_torchvision")
    side = _SIDE if image_size is None else image_size
    if not pretrained:
        refuse_unused(pretrained, normalisation=normalisation)
        return _plain(models, name, grey, side, seed, options)
    weights = _weights_named(models, name, pretrained)
    path = _fetch(weights)
    preset = weights.transforms()
    backbone = _plain(models, name, grey, side, seed, options)
    record = load_weights(
        backbone,
        path,
        normalisation=normalisation or (preset.mean, preset.std),
        name=f"torchvision:{name}/{weights.name}",
        source=weights.url,
        input_size=(preset.crop_size[0], preset.crop_size[0]),
    )
    interpolation = getattr(preset.interpolation, "value", None)
    attach(backbone, dataclasses.replace(record, interpolation=interpolation), inside=inside)
    return backbone


def _plain(
    models: Any, name: str, grey: Grey, side: int, seed: Seed, options: dict[str, Any]
) -> Backbone:
    with draw_from(seed):
        model = models.get_model(name, weights=None, **_side_of(name, side), **options)
    last = _without_last_linear(name, model)
    backbone = as_backbone(model, grey=grey, image_size=side, classifier=(f"{last}.*",))
    describe(
        backbone, "from_torchvision", {"name": name, "grey": grey, "image_size": side, **options}
    )
    return backbone


def _weights_named(models: Any, name: str, pretrained: bool | str) -> Any:
    known = models.list_models(module=models)
    if name.lower() not in known:
        raise InputError(unknown_name("model of torchvision", name, known))
    weights = models.get_model_weights(name).__members__
    chosen = "DEFAULT" if pretrained is True else pretrained
    if chosen not in weights:
        raise InputError(unknown_name(f"set of weights of torchvision's {name}", chosen, weights))
    return weights[chosen]


def _fetch(weights: Any) -> Path:
    """The file in torchvision's cache; its client fetches it and checks the hash in its name."""
    path = Path(torch.hub.get_dir(), "checkpoints", weights.url.rpartition("/")[2])
    if path.is_file():
        return path
    try:
        weights.get_state_dict(progress=False, check_hash=True)
    except Exception as error:
        raise FetchError(
            f"{weights.url} cannot be fetched ({type(error).__name__}: {error}). On a machine that"
            f" reaches it, fetch that file, and put it at {path}"
        ) from error
    return path


def _side_of(name: str, image_size: int) -> dict[str, int]:
    """What torchvision has to know of the images' side: its vision transformers fix it."""
    return {"image_size": image_size} if name.lower().startswith("vit_") else {}


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

"""Any module that maps images to features, as a backbone."""

from __future__ import annotations

import copy
from typing import Any, final

import torch
from torch import Tensor, nn

from torchcross._kit.argument_checks import checked_int
from torchcross.backbones.base import Backbone, Grey
from torchcross.errors import InputError

_SAMPLES = 2


def as_backbone(
    module: nn.Module,
    num_features: int | None = None,
    *,
    in_channels: int = 3,
    grey: Grey = None,
    image_size: int = 224,
    classifier: tuple[str, ...] = (),
) -> Backbone:
    """A module whose output for images (N, C, H, W) is (N, D), as a backbone with the same tensors.

    Without `num_features`, a dry run on the meta device with images of `image_size` determines D;
    it reads and changes nothing. A backbone is returned as it is. `classifier` has patterns of the
    entries that weight files may have beyond the module's own. Such a backbone has no description:
    its `spec` is None.
    """
    if isinstance(module, Backbone):
        if num_features not in (None, module.num_features):
            raise InputError(
                f"this backbone has {module.num_features} features, not num_features={num_features}"
            )
        return module
    if not isinstance(module, nn.Module):
        raise InputError(
            "as_backbone takes an nn.Module that maps images to features; got"
            f" {type(module).__name__}"
        )
    _refuse_lazy(module)
    size = checked_int("image_size", image_size)
    channels = checked_int("in_channels", in_channels)
    if num_features is None:
        num_features = _dry_run(module, channels, size)
    wrapped = WrappedBackbone(
        module, checked_int("num_features", num_features), in_channels=channels, grey=grey
    )
    wrapped.classifier = tuple(classifier)
    return wrapped.train(module.training)


@final
class WrappedBackbone(Backbone):
    """A module of the user's own, which is the submodule `body`."""

    def __init__(self, body: nn.Module, num_features: int, *, in_channels: int, grey: Grey) -> None:
        super().__init__(num_features, in_channels=in_channels, grey=grey)
        self.body = body

    @property
    def loadable(self) -> nn.Module:
        return self.body

    def _features(self, images: Tensor) -> Tensor:
        features = self.body(images)
        _check_features(type(self.body).__name__, features, images.shape[0])
        if features.shape[1] != self.num_features:
            raise InputError(
                f"{type(self.body).__name__} gave {features.shape[1]} features and was wrapped for"
                f" {self.num_features}; give as_backbone the right num_features, or image_size if"
                " they depend on it"
            )
        out: Tensor = features
        return out

    def _initialise(self, generator: torch.Generator) -> None:
        raise InputError("a module of your own initialises itself; wrap it when it is ready")


def _dry_run(module: nn.Module, in_channels: int, size: int) -> int:
    """Run a copy of the module whose tensors are on the meta device, and so change nothing."""
    name = type(module).__name__
    images = torch.empty(_SAMPLES, in_channels, size, size, device="meta", dtype=_dtype_of(module))
    try:
        memo: dict[int, Any] = {id(tensor): _meta_twin(tensor) for tensor in _tensors(module)}
        with torch.no_grad():
            features = copy.deepcopy(module, memo).eval()(images)
    except Exception as error:
        raise InputError(
            f"a dry run of {name} on images {tuple(images.shape)} failed ({type(error).__name__}:"
            f" {_first_line(error)}); give in_channels and image_size as it wants them, or"
            " num_features, which needs no dry run"
        ) from error
    _check_features(name, features, _SAMPLES)
    return int(features.shape[1])


def _meta_twin(tensor: Tensor) -> Tensor:
    twin = torch.empty_like(tensor, device="meta")
    return nn.Parameter(twin, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else twin


def _check_features(name: str, features: object, samples: int) -> None:
    if not isinstance(features, Tensor):
        raise InputError(
            f"{name} returns {type(features).__name__}, not a tensor of features; wrap it so that"
            " it does. If it returns more in training mode, build it without: torchvision's option"
            " aux_logits=False, say"
        )
    if features.dim() != 2 or features.shape[0] != samples:
        advice = "give one row per image"
        if features.dim() == 4:
            advice = "pool the map, e.g. features.mean((2, 3))"
        raise InputError(
            f"{name} returns the shape {tuple(features.shape)} for {samples} images, not (N, D);"
            f" {advice}"
        )


def _refuse_lazy(module: nn.Module) -> None:
    lazy = nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer
    if any(isinstance(tensor, lazy) for tensor in _tensors(module)):
        raise InputError(
            f"{type(module).__name__} has lazy parameters; run it once on a batch first"
        )


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _dtype_of(module: nn.Module) -> torch.dtype:
    floating = [tensor.dtype for tensor in _tensors(module) if tensor.is_floating_point()]
    return floating[0] if floating else torch.get_default_dtype()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")

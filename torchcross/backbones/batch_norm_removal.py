"""A network without BatchNorm, as fine-tuning studies take it: removed, or folded away."""

from __future__ import annotations

import copy
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from torchcross._kit.argument_checks import check_choice
from torchcross.backbones.base import Backbone
from torchcross.errors import InputError

Removal: TypeAlias = Literal["keep", "identity", "fold"]
REMOVALS: tuple[Removal, ...] = ("keep", "identity", "fold")
Network = TypeVar("Network", bound=nn.Module)


def without_batch_norm(network: Network, how: Removal, example: Tensor) -> Network:
    """A copy of a network whose BatchNorm layers are gone; the network itself stays as it is.

    identity  the layers are left out, and every other weight stays: another function
    fold      each layer goes into the convolution before it: the same function as in evaluation
              mode, to rounding. It needs running statistics, and a convolution before each layer
    keep      nothing is done

    `example` is a batch of images, of which the order of the layers is seen.
    """
    check_choice("how", how, REMOVALS)
    copied = copy.deepcopy(network)
    if how == "keep":
        return copied
    convolutions = _convolutions_before(copied, example) if how == "fold" else {}
    for name, layer in list(copied.named_modules()):
        if isinstance(layer, _BatchNorm):
            if how == "fold":
                before = convolutions[name]
                convolution: Any = copied.get_submodule(before)
                folded = fuse_conv_bn_eval(convolution.eval(), layer.eval())
                _replace(copied, before, folded.train(network.training))
            _replace(copied, name, nn.Identity())
    # What described the network before does not describe it any more.
    if isinstance(copied, Backbone):
        copied.forget_description()
    return copied.train(network.training)


def _convolutions_before(network: nn.Module, example: Tensor) -> dict[str, str]:
    """For each BatchNorm layer, the convolution whose output it gets."""
    maker: dict[int, str] = {}
    kept: list[Tensor] = []
    before: dict[str, str] = {}
    uses: dict[str, int] = {}

    def remember(name: str, output: Tensor) -> None:
        # A tensor that is kept alive keeps its identity.
        kept.append(output)
        maker[id(output)] = name
        uses[name] = uses.get(name, 0) + 1

    handles = []
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            handles.append(
                layer.register_forward_hook(
                    lambda _, inputs, output, name=name: remember(name, output)
                )
            )
        elif isinstance(layer, _BatchNorm):
            handles.append(
                layer.register_forward_pre_hook(
                    lambda _, inputs, name=name: before.update({name: maker.get(id(inputs[0]), "")})
                )
            )
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(example)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    for name, layer in network.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is None:
            raise InputError(f"{name} has no running statistics to fold; take how='identity'")
        if isinstance(layer, _BatchNorm) and uses.get(before.get(name, ""), 0) != 1:
            raise InputError(
                f"{name} does not follow a convolution of its own, so it cannot be folded; take"
                " how='identity' or 'keep'"
            )
    return before


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, layer)

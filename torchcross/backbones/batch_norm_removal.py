"""A network without BatchNorm, as fine-tuning studies take it: removed, or folded away."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.hooks import RemovableHandle

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

    `example` is a batch of images, of which the order of the layers is seen. A folded network must
    map it to the same features.
    """
    check_choice("how", how, REMOVALS)
    # Tensors of inference mode have no version, which tells what was written into.
    with torch.inference_mode(False):
        copied = copy.deepcopy(network)
        return copied if how == "keep" else _replace_layers(copied, how, example.clone())


def _replace_layers(copied: Network, how: Removal, example: Tensor) -> Network:
    """The network itself, without its layers."""
    mode = copied.training
    convolutions, before_folding = {}, {}
    if how == "fold":
        convolutions = _convolutions_before(copied, example)
        before_folding = _outputs(copied, convolutions, example)
    for name, layer in list(copied.named_modules()):
        if isinstance(layer, _BatchNorm):
            if how == "fold":
                before = convolutions[name]
                convolution: Any = copied.get_submodule(before)
                folded = fuse_conv_bn_eval(convolution.eval(), layer.eval())
                _replace(copied, before, folded.train(mode))
            _replace(copied, name, nn.Identity())
    if before_folding:
        _check_same(before_folding, _outputs(copied, convolutions, example))
    # What described the network before does not describe it any more.
    if isinstance(copied, Backbone):
        copied.forget_description()
    return copied.train(mode)


def _convolutions_before(network: nn.Module, example: Tensor) -> dict[str, str]:
    """For each BatchNorm layer, the convolution whose output it gets."""
    maker: dict[tuple[int, int], str] = {}
    kept: list[Tensor] = []
    before: dict[str, str] = {}
    uses: dict[str, int] = {}

    def identity(values: Tensor) -> tuple[int, int]:
        # The version tells whether something wrote into it.
        return id(values), values._version

    def remember(name: str, output: Tensor) -> None:
        # A tensor that is kept alive keeps its identity.
        kept.append(output)
        maker[identity(output)] = name
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
                    lambda _, inputs, name=name: before.update(
                        {name: maker.get(identity(inputs[0]), "")}
                    )
                )
            )
    _features_in_evaluation_mode(network, example, handles)
    for name, layer in network.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is None:
            raise InputError(f"{name} has no running statistics to fold; take how='identity'")
        if isinstance(layer, _BatchNorm) and uses.get(before.get(name, ""), 0) != 1:
            raise InputError(
                f"{name} does not follow a convolution of its own, so it cannot be folded; take"
                " how='identity' or 'keep'"
            )
    return before


def _outputs(network: nn.Module, layers: Iterable[str], example: Tensor) -> dict[str, Tensor]:
    """What each layer gives for the example in the order of their calls, and at last the features.

    Clones: what follows may write into an output.
    """
    outputs: dict[str, Tensor] = {}
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: outputs.update({name: output.clone()})
        )
        for name in layers
    ]
    features = _features_in_evaluation_mode(network, example, handles)
    return {**outputs, "": features}


def _features_in_evaluation_mode(
    network: nn.Module, example: Tensor, handles: Iterable[RemovableHandle]
) -> Tensor:
    """The features, after which the hooks are gone and the mode is as it was."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.no_grad():
            features: Tensor = network.eval()(example)
    finally:
        for module, mode in modes:
            module.training = mode
        for handle in handles:
            handle.remove()
    return features


def _check_same(before: dict[str, Tensor], after: dict[str, Tensor]) -> None:
    for name, values in before.items():
        change = float((after[name] - values).abs().max())
        # Half of the digits: folding rounds each layer, and layers follow each other.
        rounding = torch.finfo(values.dtype).eps ** 0.5 * float(values.abs().max())
        if not change <= rounding:
            where = f" at {name}" if name else ""
            raise InputError(
                f"folding changes the features by {change:.2g}{where}: the output of a convolution"
                " goes elsewhere than into its BatchNorm layer, or is not all that goes there; take"
                " how='identity' or 'keep'"
            )


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, layer)

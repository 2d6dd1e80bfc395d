"""Which layers act otherwise in training mode than in evaluation mode."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.utils import _pytree as pytree

from torchcross.errors import InputError
from torchcross.functional.network.class_code import mentions
from torchcross.functional.network.norm_policies import Draw
from torchcross.functional.trees import Buffers, Params

_DROPOUT = nn.modules.dropout._DropoutNd
_OWN_ROOMS = ("torch.nn.", "torchcross.backbones.")


def training_layers(module: nn.Module) -> dict[str, str]:
    """Name -> class of the layers that may act otherwise in training mode.

    Of layers that are not torch's it is known whether their code looks at the mode, and whether all
    their rates are zero. The network's first use shows whether that is all.
    """
    return {
        name: type(layer).__name__
        for name, layer in module.named_modules()
        if _has_training_mode(layer)
    }


def _has_training_mode(layer: nn.Module) -> bool:
    if isinstance(layer, _DROPOUT):
        return layer.p > 0
    if isinstance(layer, nn.RReLU):
        return layer.lower < layer.upper
    if isinstance(layer, nn.MultiheadAttention) and layer.dropout > 0:
        return True
    if isinstance(layer, _SpectralNorm):
        return hasattr(layer, "_u")
    # Layers that normalise follow the BatchNorm policy, in either mode.
    is_norm = isinstance(layer, nn.modules.batchnorm._NormBase)
    return not is_norm and mentions(layer, "training") and not _has_zero_rates(layer)


def _has_zero_rates(layer: nn.Module) -> bool:
    """Whether the layer has rates, its own or of dropout layers in it, and all are 0."""
    rates = [
        value
        for name, value in vars(layer).items()
        if isinstance(value, int | float) and (name == "p" or "drop" in name)
    ]
    rates += [float(child.p) for child in layer.children() if isinstance(child, _DROPOUT)]
    return bool(rates) and not any(rates)


def may_hide_a_mode(module: nn.Module) -> bool:
    """Whether a layer's class is neither torch's nor ours, so that its code may do anything."""
    return not all(type(layer).__module__.startswith(_OWN_ROOMS) for layer in module.modules())


def without_zeros(params: Params) -> Params:
    """The same values, but for tensors of zeros, behind which a difference would hide."""
    return {
        name: torch.full_like(value, 0.1)
        if value.is_floating_point() and not value.any()
        else value
        for name, value in params.items()
    }


def refuse_other_structure(who: str, training: object, evaluation: object) -> None:
    """Raise where a forward in training mode returns other things than in evaluation mode."""
    shapes = [_structure(output) for output in (training, evaluation)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{who} returns {shapes[0]} in training mode and {shapes[1]} in evaluation mode; build"
            " it without what it adds in training (auxiliary outputs, say), or wrap it so that it"
            " returns the same features in both."
        )


def _structure(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    leaves = pytree.tree_leaves(output)
    return f"{type(output).__name__} of {len(leaves)}"


def refuse_hidden_mode(
    who: str,
    training: tuple[object, Buffers],
    evaluation: tuple[object, Buffers],
    draws: dict[str, Draw],
) -> None:
    """Raise where training mode differs although no layer's class shows it."""
    leaves = [pytree.tree_leaves(results) for results in (training, evaluation)]
    if not draws and all(map(_is_same, *leaves)):
        return
    raise InputError(
        f"{who} acts otherwise in training mode than in evaluation mode, and none of its layers"
        " shows it: the mode is read elsewhere, in a function or a hook, or in a layer whose rates"
        " (`p`, `drop_rate`) are all 0. Read `self.training` in a method of a layer of its own, so"
        " that what is recorded of the network is true."
    )


def _is_same(left: object, right: object) -> bool:
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return left.shape == right.shape and torch.allclose(
            left, right, rtol=1e-4, atol=1e-6, equal_nan=True
        )
    return bool(left == right)

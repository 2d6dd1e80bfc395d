"""The exact Fisher information of a network's filters under a head, over images.

Every outcome counts with its probability; nothing is sampled. Answers are independent of each
other, so that L labels need L outcomes and not 2^L.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from torchcross._kit.argument_checks import as_int
from torchcross.errors import InputError
from torchcross.targets import Target
from torchcross.transfer.similarity.layer_gradients import LayerTrace, has_rule

LogitsOf = Callable[[Tensor], Tensor]
_SMALLEST = 1e-12


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """The layers whose `weight` is embedded, by name, in the network's order."""
    return {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(getattr(layer, "weight", None), nn.Parameter)
    }


def fisher_information(
    network: nn.Module,
    images: Float[Tensor, "N ..."],
    target: Target,
    logits_of: LogitsOf,
    *,
    block: int = 16,
) -> dict[str, Float[Tensor, " filters"]]:
    """By layer, the mean over images of sum over outcomes y of p(y) (d log p(y) / dw)^2.

    It is averaged over the weights of each filter: all axes but the first. Layers stand in the
    network's order. `logits_of` takes features to logits of the target's loss. The network is
    copied, and runs in evaluation mode whatever its own mode is, so that no image sees another.
    `block` images run at once.
    """
    block = as_int("block", block)
    if not len(images):
        raise InputError("there is no image; give one or more")
    network = copy.deepcopy(network).eval().requires_grad_(False)
    layers = weighted_layers(network)
    if not layers:
        raise InputError("the probe has no layer with weights; give a network that has learned")
    for layer in layers.values():
        layer.weight.requires_grad_(True)
    squares = _by_layers if all(map(has_rule, layers.values())) else _by_samples
    totals: dict[str, Tensor] = {}
    for start in range(0, len(images), block):
        part = images[start : start + block]
        for name, values in squares(network, layers, part, target, logits_of).items():
            totals[name] = totals.get(name, 0) + values
    # The rules have them in the order in which the layers ran.
    return {name: totals[name] / len(images) for name in layers}


def _by_layers(
    network: nn.Module,
    layers: dict[str, nn.Module],
    images: Tensor,
    target: Target,
    logits_of: LogitsOf,
) -> dict[str, Tensor]:
    trace = LayerTrace(layers)
    with torch.enable_grad():
        probabilities = target.answer_probabilities(logits_of(trace.forward(network, images)))
        if not trace.is_whole:
            return _by_samples(network, layers, images, target, logits_of)
        totals: dict[str, Tensor] = {}
        for probability, factor in _outcomes(probabilities):
            for name, squares in trace.squared_gradients(probability.sum()).items():
                # float64: thousands of small squares are added.
                weighted = (squares.double() * factor.double().unsqueeze(1)).sum(0)
                totals[name] = totals.get(name, 0) + weighted
    return totals


def _outcomes(probabilities: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(the probability of each outcome for each sample, what its squared gradient counts).

    (d log p)^2 p is (dp)^2 / p. Two classes have opposite gradients: one stands for both.
    """
    inverse = torch.where(probabilities > _SMALLEST, 1 / probabilities.detach(), 0).detach()
    for answer in range(probabilities.shape[1]):
        if probabilities.shape[2] == 2:
            yield probabilities[:, answer, 1], inverse[:, answer].sum(-1)
            continue
        for number in range(probabilities.shape[2]):
            yield probabilities[:, answer, number], inverse[:, answer, number]


def _by_samples(
    network: nn.Module,
    layers: dict[str, nn.Module],
    images: Tensor,
    target: Target,
    logits_of: LogitsOf,
) -> dict[str, Tensor]:
    """By the transforms of torch, for layers without a rule and for layers that run twice."""
    names = {name: f"{name}.weight" if name else "weight" for name in layers}
    weights = {name: network.get_parameter(names[name]).detach() for name in layers}

    def probability(weights: dict[str, Tensor], image: Tensor, answer: int, number: int) -> Any:
        values = {names[name]: value for name, value in weights.items()}
        features = functional_call(network, values, (image.unsqueeze(0),))
        return target.answer_probabilities(logits_of(features))[0, answer, number]

    gradients = vmap(grad(probability), in_dims=(None, 0, None, None))
    with torch.no_grad():
        probabilities = target.answer_probabilities(logits_of(network(images)))
    answers, classes = probabilities.shape[1:]
    places = [
        (answer, number)
        for answer in range(answers)
        for number in ((1,) if classes == 2 else range(classes))
    ]
    totals: dict[str, Tensor] = {}
    for (answer, number), (_, factor) in zip(places, _outcomes(probabilities), strict=True):
        for name, slopes in gradients(weights, images, answer, number).items():
            squares = slopes.square().reshape(*slopes.shape[:2], -1).mean(-1).double()
            totals[name] = totals.get(name, 0) + (squares * factor.double().unsqueeze(1)).sum(0)
    return totals

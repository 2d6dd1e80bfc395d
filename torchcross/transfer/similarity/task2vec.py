"""Task2Vec: what a task asks of a probe, as the Fisher information of the probe's filters.

Achille et al. (2019) sample outcomes or fit a noise. Here the information is exact (`fisher`), the
head is a converged logistic regression on the probe's features, and BatchNorm uses its running
statistics. Nothing is drawn but the images.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchcross._kit.argument_checks import as_int, checked_number
from torchcross._kit.randomness import Stream, permutation
from torchcross.backbones.input_normalisation import InputNormalisation, MeanAndStd, check_finite
from torchcross.data import TaskSource
from torchcross.embedding.digests import weights_digest
from torchcross.errors import InputError
from torchcross.functional import Network
from torchcross.heads import LOGISTIC_FORMS, head_logits, logistic_head
from torchcross.targets import Target
from torchcross.transfer.scores.answers import classes_present
from torchcross.transfer.similarity.distances import distance
from torchcross.transfer.similarity.embedding import TaskEmbedding
from torchcross.transfer.similarity.fisher import fisher_information, weighted_layers

IMAGES = 300
_BLOCK = 64
Indices = NDArray[np.int64]


def task2vec(
    source: TaskSource,
    probe: nn.Module,
    *,
    images: int = IMAGES,
    seed: int = 0,
    C: float = 10.0,
    normalise: MeanAndStd | None = None,
) -> TaskEmbedding:
    """Embed a task by at most `images` of its labelled images, drawn by the seed.

    `probe` maps images to features, and must be the same for all tasks that are compared. `C` is
    that of the head, as in `LogisticRegression`. `normalise` is the option of algorithms. Classes
    without an image among those drawn are left out and named in `absent`.
    """
    order = _labelled_order(source, seed)
    return _embed(source, order[: as_int("images", images, least=2)], probe, C, normalise)


def noise_floor(
    source: TaskSource,
    probe: nn.Module,
    *,
    images: int = IMAGES,
    seed: int = 0,
    kind: str = "cosine",
    C: float = 10.0,
    normalise: MeanAndStd | None = None,
) -> float:
    """The distance of two disjoint draws of one source: no smaller distance means anything.

    Each draw has `images` images, or half of them where there are fewer.
    """
    order = _labelled_order(source, seed)
    count = min(as_int("images", images, least=2), len(order) // 2)
    one, other = order[:count], order[count : 2 * count]
    return distance(
        _embed(source, one, probe, C, normalise), _embed(source, other, probe, C, normalise), kind
    )


def _labelled_order(source: TaskSource, seed: int) -> Indices:
    """Samples with a known label, in an order of the seed."""
    known = np.flatnonzero((source.labels >= 0).reshape(len(source), -1).any(axis=1))
    order = permutation(Stream(seed, "task2vec", source.name), 0, len(known))
    labelled: Indices = known[order]
    if len(labelled) < 2:
        raise InputError(
            f"source {source.name!r} has {len(labelled)} labelled images; an embedding needs two or"
            " more"
        )
    return labelled


def _embed(
    source: TaskSource,
    chosen: Indices,
    probe: nn.Module,
    C: float,
    normalise: MeanAndStd | None,
) -> TaskEmbedding:
    images = _images(source, chosen, probe, normalise)
    target, codes = _present_classes(source, chosen)
    head = _head(target, codes, _features(probe, images), checked_number("C", C, above=0))
    logits = partial(head_logits, LOGISTIC_FORMS[True], target)
    information = fisher_information(probe, images, target, lambda features: logits(features, head))
    layers = weighted_layers(probe)
    trivial = {name: _trivial(probe.get_parameter(f"{name}.weight".lstrip("."))) for name in layers}
    return TaskEmbedding(
        source.name,
        weights_digest(probe),
        torch.cat([values.double().cpu() for values in information.values()]).numpy(),
        np.concatenate(list(trivial.values())),
        len(chosen),
        tuple((name, len(values)) for name, values in trivial.items()),
        tuple(name for name in source.task.target.classes if name not in target.classes),
    )


def _images(
    source: TaskSource, chosen: Indices, probe: nn.Module, normalise: MeanAndStd | None
) -> Tensor:
    subject = f"source {source.name!r}"
    like = next((value for value in probe.parameters() if value.is_floating_point()), None)
    if like is None:
        raise InputError("the probe has no parameters; give a network that has learned")
    images = source.read(chosen).to(like.device)
    ready = InputNormalisation.before(probe, normalise)(images, subject, like)
    check_finite(ready, subject)
    return ready


@torch.no_grad()
def _features(probe: nn.Module, images: Tensor) -> Tensor:
    network = Network(probe, norm="frozen")
    parts = [network.support(*network.state(), part)[0] for part in torch.split(images, _BLOCK)]
    return torch.cat(parts)


def _present_classes(source: TaskSource, chosen: Indices) -> tuple[Target, Tensor]:
    """(the target of the classes that the chosen samples have, their codes)."""
    target, codes = source.task.target, source.targets(chosen)
    present = classes_present(target, codes.numpy())
    if len(present) == target.num_classes:
        return target, codes
    if len(present) < target.ways[0]:
        raise InputError(
            f"{len(chosen)} images of source {source.name!r} have too few classes to tell apart:"
            f" {list(present)}; give more images, or another seed"
        )
    return target.restrict(present), torch.from_numpy(target.relabel(codes, present))


def _trivial(weight: Tensor) -> NDArray[np.float64]:
    """The information of a task whose labels tell nothing: of the start of the published fit."""
    return np.full(len(weight), 1 / float(weight.detach().double().square().mean()))


def _head(target: Target, codes: Tensor, features: Tensor, C: float) -> dict[str, Tensor]:
    likelihood = target.likelihood
    penalties = torch.tensor([C], dtype=torch.float64, device=features.device)
    codes = likelihood.codes(codes).to(features.device)
    return logistic_head(likelihood, features, codes, penalties)

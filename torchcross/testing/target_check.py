"""`check_target`: what heads, samplers and scores rely on, for any target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchcross.errors import InputError, TorchcrossError
from torchcross.targets import MISSING, Cover, Partition, Target
from torchcross.testing.surroundings import generators_left_alone, through_pickle

_FEWEST, _STEPS, _RATE = 16, 60, 0.5
_DIFFERENCE, _TOLERANCE = 1e-5, 1e-3


def check_target(target: Any) -> None:
    """Raise AssertionError, naming the contract, unless a target keeps all of these:

    - it is hashable, equal to a pickled copy, and its kind is a text;
    - `decode` and `encode` are inverse to each other, codes are those of its classes, and labels
      that are none of its values are refused;
    - a sampler can count its strata: a `Partition` for one class each, a `Cover` for several;
    - under each of its losses: the loss is a finite scalar whose gradient equals finite
      differences, a missing label does not count, a low loss decides for the right classes, and
      predictions are probabilities in 0..1, of one class each with the sum 1;
    - logits of prototypes and of regressions have the shape that the loss takes, and the loss of
      each answer has their mean;
    - every one of its default metrics is computed, and right answers score better than wrong ones;
    - `restrict` keeps names and order, and `relabel` gives the codes of what is left.
    """
    if not isinstance(target, Target):
        raise InputError(
            f"check_target takes a target and got {target!r}; give one, such as"
            ' MultiClass(["a", "b"])'
        )
    with generators_left_alone("the target"):
        for contract in (_value, _labels, _strata, _restriction):
            _raise_first(target, contract(target))
        for loss in target.objectives:
            options = dict(target.loss_options) if loss == target.loss_name else {}
            own = target.with_loss(loss, **options)
            for of_loss in (_loss, _learning, _predictions, _heads, _metrics):
                _raise_first(own, of_loss(own))


def _raise_first(target: Any, sentences: Iterator[str]) -> None:
    for sentence in sentences:
        raise AssertionError(f"target {target!r}: {sentence}")


def _count(target: Any) -> int:
    """How many samples show each class twice, or each label present and absent."""
    return max(_FEWEST, 2 * int(target.num_classes))


def _codes(target: Any) -> Tensor:
    """Codes with every class, or each label present and absent, in them."""
    rows = torch.arange(_count(target))
    if not target.label_shape:
        classes: int = target.num_classes
        return rows % classes
    (labels,) = target.label_shape
    if 2**labels <= _FEWEST:
        return (rows[:, None] // 2 ** torch.arange(labels)) % 2
    # Each label alone, and then each one as the only one that is absent.
    alone = (rows[:, None] % labels == torch.arange(labels)).long()
    return torch.where(rows[:, None] < labels, alone, 1 - alone)


def _logits(target: Any, count: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (_count(target) if count is None else count, target.num_outputs)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# -- the value, and its labels ---------------------------------------------------------------------


def _value(target: Any) -> Iterator[str]:
    if not isinstance(getattr(target, "kind", None), str):
        yield "its `kind` is no text; files know a target by it"
    copy = through_pickle(target, f"target {target!r}")
    if copy != target or len({copy, target}) != 1:
        yield "a pickled copy is not equal to it, or has another hash; keep all fields frozen"
    if len(set(target.classes)) != len(target.classes):
        yield "two of its classes have one name"


def _labels(target: Any) -> Iterator[str]:
    codes = _codes(target).numpy().astype(np.int64)
    again = np.asarray(target.encode(target.decode(codes)))
    if again.dtype.kind != "i" or not np.array_equal(again, codes):
        yield "encode(decode(codes)) are not the codes"
    stranger = target.decode(codes)
    stranger.flat[0] = max((*target.values, 1)) + 1000
    try:
        target.encode(stranger)
    except TorchcrossError:
        return
    yield "encode accepts a label that is none of its values; raise a LabelError that names it"


def _strata(target: Any) -> Iterator[str]:
    strata = target.strata(_codes(target).numpy())
    kind = Cover if target.label_shape else Partition
    if not isinstance(strata, kind):
        yield f"strata(codes) is a {type(strata).__name__}; its labels need a {kind.__name__}"


def _restriction(target: Any) -> Iterator[str]:
    fewest, most = target.ways
    if not 1 <= fewest <= most <= max(target.num_classes, 2):
        yield f"ways are {target.ways} of {target.num_classes} classes"
        return
    if fewest >= target.num_classes or target.has_fixed_classes:
        return
    kept = target.classes[-max(fewest, 1) :]
    part = target.restrict(kept)
    if part.classes != kept or type(part) is not type(target):
        yield f"restrict({list(kept)}) has the classes {list(part.classes)}"
    codes = _codes(target).numpy()
    positions = [target.classes.index(name) for name in kept]
    expected = codes[:, positions] if target.label_shape else _relabel(codes, positions)
    if not np.array_equal(target.relabel(codes, kept), expected):
        yield f"relabel(codes, {list(kept)}) are not the codes of these classes, -1 for others"


def _relabel(codes: Any, positions: list[int]) -> Any:
    places = {position: place for place, position in enumerate(positions)}
    return np.array([places.get(code, MISSING) for code in codes.tolist()])


# -- each loss -------------------------------------------------------------------------------------


def _loss(target: Any) -> Iterator[str]:
    logits, codes = _logits(target), _codes(target)
    value = target.loss(logits, codes)
    if value.ndim or not bool(torch.isfinite(value)):
        yield f"the loss is {value}; give a finite scalar"
        return
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(target.loss(leaf, codes), leaf)
    direction = _logits(target).flip(0)
    ends = [target.loss(logits + sign * _DIFFERENCE * direction, codes) for sign in (1, -1)]
    slope = float((ends[0] - ends[1]) / (2 * _DIFFERENCE))
    if abs(slope - float((gradient * direction).sum())) > _TOLERANCE * max(1.0, abs(slope)):
        yield (
            f"the gradient of its loss says {float((gradient * direction).sum()):.4g} along a"
            f" direction, and finite differences {slope:.4g}"
        )
    with_missing = torch.cat([codes, torch.full_like(codes[:3], MISSING)])
    more = torch.cat([logits, _logits(target, 3) * 5])
    if not torch.allclose(target.loss(more, with_missing), value, atol=_TOLERANCE):
        yield "samples whose label is missing (-1) change its loss; leave them out of the mean"


def _learning(target: Any) -> Iterator[str]:
    """A head that is free for each sample: a low loss must mean the right decision."""
    codes = _codes(target)
    logits = torch.zeros(len(codes), target.num_outputs, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=_RATE)
    first = float(target.loss(logits.detach(), codes))
    for _ in range(_STEPS):
        optimiser.zero_grad()
        target.loss(logits, codes).backward()
        optimiser.step()
    if not float(target.loss(logits.detach(), codes)) < first:
        yield "its loss does not fall when logits follow its gradient"
    if not torch.equal(target.predict(logits.detach()).decisions, codes):
        yield "logits of the lowest loss do not decide for the right classes"


def _predictions(target: Any) -> Iterator[str]:
    prediction = target.predict(_logits(target).float() * 3)
    probabilities, decisions = prediction.probabilities, prediction.decisions
    count = _count(target)
    expected = (count, target.num_classes)
    if tuple(probabilities.shape) != expected:
        yield f"probabilities have shape {tuple(probabilities.shape)}; give {expected}"
        return
    if bool((probabilities < 0).any() | (probabilities > 1).any()):
        yield "probabilities lie outside 0..1"
    if not target.label_shape and float((probabilities.sum(1) - 1).abs().max()) > _TOLERANCE:
        yield "the probabilities of a sample do not sum to 1, and it has one class"
    if tuple(decisions.shape) != (count, *target.label_shape):
        yield f"decisions have shape {tuple(decisions.shape)}"


def _heads(target: Any) -> Iterator[str]:
    codes, count = _codes(target), _count(target)
    expected = (count, target.num_outputs)
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(count, target.num_prototypes, generator=generator)
    logits = {
        "prototype_logits": target.prototype_logits(scores),
        "regression_logits": target.regression_logits(target.regression_targets(codes)),
    }
    for name, value in logits.items():
        if tuple(value.shape) != expected:
            yield f"{name} have shape {tuple(value.shape)}; its loss takes {expected}"
    strata = target.prototype_strata(codes)
    if tuple(strata.shape) != (count, target.num_prototypes):
        yield f"prototype_strata have shape {tuple(strata.shape)}"
    if len(target.prototype_names) != target.num_prototypes:
        yield f"{len(target.prototype_names)} names for {target.num_prototypes} prototypes"


def _metrics(target: Any) -> Iterator[str]:
    codes = _codes(target)
    # A high score at the prototypes that a sample belongs to.
    scores = 4.0 * target.prototype_strata(codes)
    right = target.predict(target.prototype_logits(scores))
    wrong = target.predict(target.prototype_logits(-scores))
    for name in target.default_metrics:
        if name not in target.metrics:
            yield f"the default metric {name!r} is not among its metrics"
            return
    good, bad = (target.evaluate(each, codes) for each in (right, wrong))
    undefined = [name for name, score in good.items() if not np.isfinite(score.value)]
    if undefined:
        yield f"{undefined[0]} is undefined where every class is there: {good[undefined[0]].reason}"
    if "auroc" in good and not good["auroc"].value > bad["auroc"].value:
        yield "right answers have no better AUROC than wrong ones"

"""Whether the parts of a predictor file belong together, checked before anything is predicted."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.members import sizes_of_members
from torchcross.algorithms._shared.predictor_files import PredictorRecord, Tensors
from torchcross.errors import InputError, ReadError
from torchcross.heads import (
    BIAS,
    CONSTANT,
    LOGISTIC_FORMS,
    MEAN_FORM,
    WEIGHT,
    head_target,
)
from torchcross.heads.logits import lacking_tensor
from torchcross.targets import Target

# The dimension of a head's tensor that is the number of features, which no target knows.
_ANY = None


def check_head(path: Path, record: PredictorRecord, tensors: Tensors) -> None:
    """The head has the tensors of its form and target, in numbers of the backbone's kind."""
    form, head, target = record.form, tensors["head"], record.task.target
    _check_counts(path, record)
    expected = _head_shapes(form, head_target(target, record.counts))
    missing, extra = sorted(expected.keys() - head.keys()), sorted(head.keys() - expected.keys())
    if missing or extra:
        difference = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r} too"
        raise ReadError(
            f"{path} holds a head of the form {form!r} that {difference}; save the predictor again."
        )
    kinds = {value.dtype for value in tensors["params"].values() if value.is_floating_point()}
    for name, shape in expected.items():
        actual = tuple(head[name].shape)
        same_rank = len(actual) == len(shape)
        if not same_rank or any(a not in (_ANY, b) for a, b in zip(shape, actual, strict=True)):
            wanted = tuple("any" if size is _ANY else size for size in shape)
            raise ReadError(
                f"{path}: {name!r} has the shape {actual} and its task needs {wanted}; save it"
                " again."
            )
        if not head[name].is_floating_point() or (kinds and head[name].dtype not in kinds):
            raise ReadError(
                f"{path}: {name!r} is {head[name].dtype} and its backbone is not; save it again."
            )
    if not _fit_each_other(form, head, record.members):
        shapes = {name: tuple(value.shape) for name, value in head.items()}
        raise ReadError(
            f"{path}: the tensors of its head do not fit each other: {shapes}; save it again."
        )


def _check_counts(path: Path, record: PredictorRecord) -> None:
    """Counts are there where a class was missing, and a head where one could be fitted."""
    counts, target = record.counts, record.task.target
    constant = record.form == CONSTANT
    if counts is None:
        fits = not constant
    else:
        fits = len(counts) == target.num_prototypes and not all(counts)
        fits = fits and constant == (not target.seen_classes(counts))
    if not fits:
        raise ReadError(
            f"{path} has counts of its support set, {counts}, that do not fit its task and a head"
            f" of the form {record.form!r}; save the predictor again."
        )


def _fit_each_other(form: str, head: dict[str, Tensor], members: int | None) -> bool:
    """Whether the sizes agree that no target knows."""
    if form == MEAN_FORM:
        return len(head[WEIGHT]) == len(head[BIAS]) == members
    if form in LOGISTIC_FORMS.values():
        return len(head[WEIGHT]) == len(head[BIAS]) > 0
    if form == "centred":
        return head["head.centre"].shape == head["head.prototypes"].shape[1:]
    return True


def _head_shapes(form: str, target: Target) -> dict[str, tuple[int | None, ...]]:
    if form == CONSTANT:
        return {"head.nothing": (0,)}
    if form == "linear":
        return {WEIGHT: (target.head.weight_rows, _ANY), BIAS: (target.head.biases,)}
    if form == MEAN_FORM:
        return {
            WEIGHT: (_ANY, target.head.weight_rows, _ANY),
            BIAS: (_ANY, target.head.biases),
        }
    if form == "ridge":
        # On the meta device, because code words take the square of the number of classes.
        with torch.device("meta"):
            no_labels = torch.zeros((1, *target.label_shape), dtype=torch.int64)
            codes = target.regression_targets(no_labels).shape[1]
        return {WEIGHT: (_ANY, codes), "head.scale": ()}
    if form in LOGISTIC_FORMS.values():
        likelihood = target.likelihood
        return {WEIGHT: (_ANY, likelihood.scores, _ANY), BIAS: (_ANY, likelihood.free)}
    means: dict[str, tuple[int | None, ...]] = {"head.prototypes": (target.num_prototypes, _ANY)}
    own: dict[str, dict[str, tuple[int | None, ...]]] = {
        "cosine": {"head.scale": ()},
        "centred": {"head.centre": (_ANY,)},
    }
    return means | own.get(form, {})


def head_width(form: str, head: dict[str, Tensor], members: int | None) -> int | None:
    """The number of features that a head takes, of all members; None where it takes any."""
    if form == CONSTANT:
        return None
    name = WEIGHT if form == "ridge" or WEIGHT in head else "head.prototypes"
    if name not in head:
        raise lacking_tensor(form, name, head)
    if form == "ridge":
        return head[name].shape[0]
    return (members or 1) * head[name].shape[-1]


def check_members(path: Path, record: PredictorRecord, tensors: Tensors) -> None:
    """An ensemble's tensors are of as many members as its record says; others have none."""
    is_ensemble = record.form == MEAN_FORM
    sizes = set().union(*(sizes_of_members(tree) for tree in tensors.values()))
    if is_ensemble != (record.members is not None) or not sizes <= {record.members}:
        raise ReadError(
            f"{path}: its tensors are of {sorted(sizes) or 'one'} members, and its record of"
            f" {record.members}; save the predictor again."
        )


def check_tensors(
    path: Path, module: nn.Module, tensors: Tensors, *, has_rows: bool, step: int
) -> None:
    """The file's tensors and the module's have the same names and shapes, and finite numbers.

    Buffers may have a row for each step; vectors (BatchNorm's weights) may too with `has_rows`.
    """
    _check_numbers(path, tensors)
    _check_statistics(path, dict(module.named_buffers()), tensors["statistics"])
    kind = type(module).__name__
    for part, named in (("params", module.named_parameters()), ("buffers", module.named_buffers())):
        own, read = dict(named), tensors[part]
        if missing := sorted(own.keys() - read.keys()):
            raise InputError(
                f"{path} lacks {len(missing)} {part} of {kind}, such as {missing[0]!r}; pass the"
                " kind of backbone it was made with."
            )
        if extra := sorted(read.keys() - own.keys()):
            raise InputError(
                f"{path} has {len(extra)} {part} that {kind} has not, such as {extra[0]!r}; pass"
                " the kind of backbone it was made with."
            )
        for name, value in own.items():
            actual, expected = tuple(read[name].shape), tuple(value.shape)
            may_have_rows = part == "buffers" or (has_rows and len(expected) == 1)
            if actual != expected and not (may_have_rows and actual[1:] == expected):
                raise InputError(
                    f"{path}: {name!r} has the shape {actual} and {kind} expects {expected}; pass"
                    " the kind of backbone it was made with."
                )
            if actual != expected and has_rows and step >= actual[0]:
                raise ReadError(
                    f"{path} is of step {step}, and {name!r} has {actual[0]} rows; save it again."
                )
            if read[name].is_floating_point() != value.is_floating_point():
                raise ReadError(
                    f"{path}: {name!r} is {read[name].dtype} and not like {value.dtype}; save it"
                    " again."
                )


def _check_numbers(path: Path, tensors: Tensors) -> None:
    for part in ("params", "statistics", "head"):
        for name, value in tensors[part].items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise ReadError(
                    f"{path}: {name!r} holds NaN or infinite numbers; adapt and save it again."
                )


def _check_statistics(
    path: Path, buffers: dict[str, Tensor], statistics: dict[str, Tensor]
) -> None:
    """Each call of a layer (`layer#call.mean`) has a mean and a variance, a number per channel."""
    for name, value in statistics.items():
        call, _, kind = name.rpartition(".")
        layer = call.partition("#")[0]
        other = f"{call}.{'variance' if kind == 'mean' else 'mean'}"
        running_mean = buffers.get(f"{layer}.running_mean" if layer else "running_mean")
        if other not in statistics:
            raise ReadError(f"{path} has the statistics {name!r} without {other!r}; save it again.")
        fits = running_mean is None or value.shape == running_mean.shape
        if value.dim() != 1 or not value.is_floating_point() or not fits:
            raise ReadError(
                f"{path}: the statistics {name!r} have the shape {tuple(value.shape)}; save it"
                " again."
            )

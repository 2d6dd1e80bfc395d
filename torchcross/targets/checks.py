"""Checks of encoded labels and predictions on their way into losses and metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from torchcross._kit.missing_labels import MISSING
from torchcross.errors import InputError, LabelError
from torchcross.targets.labels import as_array
from torchcross.targets.objective import Prediction


def as_codes(labels: Any) -> Tensor:
    """Tensors as they are; arrays and lists of integers as int64 tensors."""
    if isinstance(labels, Tensor):
        return labels
    array = as_array(labels, "labels")
    if array.dtype.kind not in "biu":
        raise LabelError(
            f"labels are {array.dtype}, expected integers; encode them first: target.encode(labels)"
        )
    return torch.from_numpy(array.astype("int64"))


def checked_codes(codes: object, target: Any) -> NDArray[np.int64]:
    """The codes of a target as an int64 array."""
    array = as_array(codes, "codes")
    highest = len(target.values) - 1
    if array.dtype.kind not in "biu" or array.shape[1:] != target.label_shape or not array.ndim:
        shape = ", ".join(["N", *map(str, target.label_shape)])
        raise LabelError(
            f"codes are {array.dtype} of shape {array.shape}; {target!r} expects integers ({shape})"
        )
    if array.size and (array.min() < MISSING or array.max() > highest):
        raise LabelError(
            f"codes lie in {array.min()}..{array.max()}; {target!r} has the codes 0..{highest}, and"
            " -1 for missing. Raw labels are encoded first: target.encode(labels)"
        )
    return array.astype(np.int64)


def check_readable_codes(labels: object, highest: int, target: object) -> None:
    """`check_codes` where values can be read at no cost.

    That is: int64 on the CPU, outside vmap and compiled functions. On a GPU reading would wait for
    all kernels in its queue. Other dtypes are refused by the losses.
    """
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.device.type != "cpu":
        return
    if torch.compiler.is_compiling():
        return
    try:
        bool((labels == MISSING).any())
    except RuntimeError:
        # Inside vmap a tensor has no values that could be read.
        return
    check_codes(labels, highest, target)


def check_codes(labels: Int[Tensor, "*S"], highest: int, target: object) -> None:
    """Refuse values that are neither a code, 0..highest, nor missing."""
    outside = (labels < MISSING) | (labels > highest)
    if not outside.any():
        return
    first = outside.nonzero()[0].tolist()
    value = int(labels[tuple(first)])
    place = f"row {first[0]}, column {first[1]}" if first[1:] else f"index {first[0]}"
    encoding = "raw labels are encoded first: target.encode(labels)"
    advice = "a missing label is -1 here" if value < 0 else encoding
    raise LabelError(
        f"labels hold {int(outside.sum())} value(s) outside the classes, the first {value} at"
        f" {place}; {target!r} has the codes 0..{highest}, and -1 for missing; {advice}"
    )


def check_shapes(prediction: Prediction, labels: Tensor, target: Any) -> None:
    """Refuse shapes other than one row per sample, with the columns of the target."""
    tensors = (prediction.probabilities, prediction.decisions, labels)
    shapes = tuple(tuple(tensor.shape) for tensor in tensors)
    per_sample = (len(labels), *target.label_shape) if labels.ndim else ()
    if shapes != ((*per_sample[:1], target.num_classes), per_sample, per_sample):
        raise InputError(
            f"probabilities, decisions and labels have the shapes {shapes}; {target!r} is evaluated"
            f" on (N, {target.num_classes}) probabilities, and decisions and labels of one shape,"
            " one row per sample"
        )
    if prediction.scores is not None and prediction.scores.shape != prediction.probabilities.shape:
        raise InputError(
            f"scores have the shape {tuple(prediction.scores.shape)} beside probabilities of"
            f" {shapes[0]}; give one score per probability, or none"
        )


def non_finite_rows(prediction: Prediction, labels: Int[Tensor, " N *L"]) -> int:
    """How many samples with a known label have a prediction with NaN or infinity."""
    finite = prediction.probabilities.isfinite()
    if prediction.scores is not None:
        finite = finite & prediction.scores.isfinite().to(finite.device)
    known = (labels != MISSING).to(finite.device)
    if known.ndim < finite.ndim:
        known = known.unsqueeze(1)
    return int((known & ~finite).any(dim=1).sum())

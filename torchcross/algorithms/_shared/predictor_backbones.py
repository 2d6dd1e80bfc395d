"""The backbone that a predictor file belongs to: checked before it is built."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import nn

from torchcross.algorithms._shared import predictor_checks
from torchcross.algorithms._shared.members import member_of
from torchcross.algorithms._shared.predictor_files import PredictorRecord, Tensors
from torchcross.backbones import build
from torchcross.backbones.build import sketch
from torchcross.backbones.layers import described_layers, different_layers
from torchcross.errors import BackboneWarning, InputError
from torchcross.functional.network.norm_policies import policy_named

_SHOWN = 3


def backbone_for(
    path: Path,
    record: PredictorRecord,
    tensors: Tensors,
    own: nn.Module | None,
    *,
    same_layers: bool,
) -> nn.Module:
    """Return the backbone that the file's tensors belong to: the user's own, or a new one.

    A new one is compared with the tensors before it gets memory: its description may be of
    anything.
    """
    if own is not None:
        _check_shapes(path, record, tensors, own)
        if same_layers:
            _refuse_other_layers(path, record, own)
        return own
    if record.backbone is None:
        raise InputError(
            f"{path} was made with a backbone of your own, which a file cannot hold; pass a module"
            " like it: load_predictor(path, backbone=...)."
        )
    try:
        one = {part: member_of(tensors[part], 0) for part in ("params", "buffers")}
        shape = sketch(record.backbone, {**one["params"], **one["buffers"]})
    except InputError as error:
        raise InputError(f"{path}: {error}.") from error
    _check_shapes(path, record, tensors, shape)
    return build(record.backbone)


def _check_shapes(path: Path, record: PredictorRecord, tensors: Tensors, module: nn.Module) -> None:
    has_rows = policy_named(record.norm).rows
    for number in range(record.members or 1):
        one = {part: member_of(tree, number) for part, tree in tensors.items()}
        predictor_checks.check_tensors(path, module, one, has_rows=has_rows, step=record.step)


def _refuse_other_layers(path: Path, record: PredictorRecord, own: nn.Module) -> None:
    if record.layers is None:
        warnings.warn(
            f"{path} is from before predictors described their backbone; whether"
            f" {type(own).__name__} is the one it was made with was seen by names and shapes alone."
            " Save the predictor again.",
            BackboneWarning,
            stacklevel=4,
        )
        return
    differences = different_layers(record.layers, described_layers(own))
    if differences:
        more = f" (and {len(differences) - _SHOWN} more)" if len(differences) > _SHOWN else ""
        raise InputError(
            f"{path} was made with another backbone, whose tensors have the same shapes:"
            f" {'; '.join(differences[:_SHOWN])}{more}. Pass the kind of backbone it was made with;"
            " if both compute the same, load_predictor(path, backbone, same_layers=False)."
        )

"""Types of labels. Only this room knows the difference between binary, multi-class and so on."""

from __future__ import annotations

from torchcross.losses import MISSING
from torchcross.targets.added import add_loss, add_target
from torchcross.targets.base import Target
from torchcross.targets.binary import Binary
from torchcross.targets.class_weights import balanced_weights, class_weighted_loss
from torchcross.targets.head_layout import HeadLayout
from torchcross.targets.multiclass import MultiClass
from torchcross.targets.multilabel import MultiLabel
from torchcross.targets.objective import Objective, Prediction
from torchcross.targets.ordinal import Ordinal
from torchcross.targets.own_losses import OwnLoss
from torchcross.targets.single_label import SingleLabelTarget
from torchcross.targets.strata import Cover, Partition, Strata

__all__ = [
    "MISSING",
    "Binary",
    "Cover",
    "HeadLayout",
    "MultiClass",
    "MultiLabel",
    "Objective",
    "Ordinal",
    "OwnLoss",
    "Partition",
    "Prediction",
    "SingleLabelTarget",
    "Strata",
    "Target",
    "add_loss",
    "add_target",
    "balanced_weights",
    "class_weighted_loss",
]

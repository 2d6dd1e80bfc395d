"""Every target with every loss, and small helpers that the tests of this folder share."""

from __future__ import annotations

import torch
from torch import Tensor

from torchcross.targets import MISSING, Binary, MultiClass, MultiLabel, Ordinal, Target

NAMES = ["none", "mild", "much", "most"]
GRADES = [0, 1, 4, 6]
PAIRS = [[0.5, 2.0], [1.0, 1.0], [3.0, 0.5]]
LABELS = ["cyst", "edema", "mass"]

TYPES: list[type[Target]] = [Binary, MultiClass, MultiLabel, Ordinal]
TARGETS: dict[str, Target] = {
    "binary": Binary(),
    "binary, weighted": Binary(["benign", "malignant"], class_weights=[1.0, 4.0], smoothing=0.1),
    "binary focal": Binary({2: "benign", 7: "malignant"}, loss="focal", gamma=1.0, alpha=0.3),
    "multi-class": MultiClass(NAMES),
    "multi-class, two": MultiClass({5: "a", -5: "b"}),
    "multi-class, weighted": MultiClass(NAMES, class_weights=[1.0, 2.0, 0.5, 3.0], smoothing=0.1),
    "multi-label": MultiLabel(LABELS, missing=[-1, "?"]),
    "multi-label, one": MultiLabel(["cyst"]),
    "multi-label, weighted": MultiLabel(LABELS, class_weights=PAIRS, smoothing=0.1),
    "multi-label focal": MultiLabel(LABELS, loss="focal", alpha=0.7),
    "ordinal": Ordinal(NAMES, GRADES),
    "ordinal, weighted": Ordinal(NAMES, GRADES, class_weights=[1.0, 2.0, 0.5, 3.0], smoothing=0.1),
    "coral": Ordinal(NAMES, GRADES, loss="coral"),
    "coral, two": Ordinal(NAMES[:2], loss="coral"),
    "corn": Ordinal(NAMES, GRADES, loss="corn"),
    "corn, two": Ordinal(NAMES[:2], loss="corn"),
    "cumulative link": Ordinal(NAMES, GRADES, loss="cumulative_link"),
    "cumulative link, two": Ordinal(NAMES[:2], loss="cumulative_link"),
    "earth mover's": Ordinal(NAMES, GRADES, loss="earth_movers", missing=float("nan")),
    "soft labels": Ordinal(NAMES, GRADES, loss="soft_labels", tau=2.0),
}


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_labels(target: Target, count: int, seed: int = 0, *, missing: bool = False) -> Tensor:
    """Codes of `count` samples; with `missing`, the first is missing entirely and others may be."""
    drawn = torch.rand(count, *target.label_shape, generator=draws(seed))
    labels = (drawn * len(target.values)).long()
    if missing:
        labels[torch.rand(labels.shape, generator=draws(seed + 1)) < 0.3] = MISSING
        labels[0] = MISSING
    return labels


def random_logits(target: Target, count: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(
        count, target.num_outputs, generator=draws(seed), dtype=torch.float64
    )


def random_scores(count: int, columns: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(count, columns, generator=draws(seed), dtype=torch.float64)

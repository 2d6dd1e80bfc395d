"""What each inner step sees of a support set: a mini-batch of it, or images drawn anew from it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from torchcross._kit.randomness import Stream, permutation
from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.backbones.input_normalisation import InputNormalisation
from torchcross.errors import InputError

ROWS, VIEWS = "rows", "views"
Tree = dict[str, Tensor]


class SupportAugmentation(Protocol):
    """New images from images, the same for the same `index` and `part`.

    `torchcross.data.Augmentation` is one.
    """

    def apply(self, images: Tensor, *, index: int, part: str) -> Tensor: ...


@dataclass(frozen=True, eq=False, repr=False)
class SupportViews:
    """Images of a support set as an inner step sees them: augmented first, then normalised."""

    images: Tensor
    augmentation: SupportAugmentation
    normalisation: InputNormalisation
    like: Tensor
    key: DrawKey

    @torch.no_grad()
    def at(self, step: int, rows: Tensor | None) -> Tensor:
        images = self.images if rows is None else self.images[rows]
        number = self.key.number_for("support augmentation")
        part = f"support of step {step}, seed {self.key.seed}"
        augmented = self.augmentation.apply(images, index=number, part=part)
        if len(augmented) != len(images):
            raise InputError(
                f"{self.key.name}: the augmentation made {len(augmented)} images of {len(images)};"
                " it must return one for each."
            )
        return self.normalisation(augmented, f"{self.key.name}: the augmented support", self.like)


def batch_rows(size: int, batch: int, steps: int, key: DrawKey, device: torch.device) -> Tensor:
    """(steps, batch): which samples each step sees.

    They are taken one after the other from shuffles of the support, so that all are seen equally
    often; each batch is full, and may begin with the end of one shuffle.
    """
    if batch > size:
        raise InputError(
            f"{key.name}: batch={batch} is more than the {size} samples of the support set; give a"
            " smaller batch, or batch=None, which takes all of them in each step."
        )
    number = int(key.number_for("the order of batches"))
    passes = -(-steps * batch // size)
    orders = [
        torch.from_numpy(permutation(Stream(int(key.seed), "support batches", number), turn, size))
        for turn in range(passes)
    ]
    rows = torch.cat([*orders, torch.zeros(0, dtype=torch.int64)])[: steps * batch]
    return rows.view(steps, batch).to(device)


def images_at(data: Any, step: int) -> Tensor:
    """The support images that a step sees, as the backbone gets them."""
    rows = data[ROWS][step] if ROWS in data else None
    if VIEWS in data:
        seen: Tensor = data[VIEWS].at(step, rows)
        return seen
    images: Tensor = data["xs"]
    return images if rows is None else images[rows]


def labels_at(data: Any, step: int) -> Any:
    """The data with the labels of the images that a step sees."""
    return {**data, "ys": data["ys"][data[ROWS][step]]} if ROWS in data else data


def describe_augmentation(augmentation: object) -> Any:
    """In plain values, for a protocol."""
    if dataclasses.is_dataclass(augmentation) and not isinstance(augmentation, type):
        plain = json.loads(json.dumps(dataclasses.asdict(augmentation), default=repr))
        return {"name": type(augmentation).__name__, **plain}
    return repr(augmentation)

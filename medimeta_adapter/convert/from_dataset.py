"""A torchvision-style dataset: anything with a length whose items are (image, label)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.convert.columns import subjects as subjects_in
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.grey import channels_of
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.rows import Decoded, Failed, Pixels, Row, Rows
from medimeta_adapter.convert.splits import split_names
from medimeta_adapter.convert.tasks import LabelNames, encoded_task
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError, ReadError

__all__ = ["as_pixels", "dataset"]

_DEEPEST = 16


def dataset(
    source: Any,
    out: str | Path,
    about: About,
    *,
    task: str = "class",
    target: str = "multiclass",
    labels: LabelNames = None,
    values: Any = None,
    subjects: Any = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Items (PIL image | tensor (C, H, W) | array, label) -> `out/<id>`; also {"train": dataset,
    "test": dataset}.

    labels   class names; where not given, `source.classes` (of a `Subset`: of what it is a part of)
    values   one label per item; where not given, `source.targets`, `source.labels`, or those of all
             items, read for it

    Items are read one after the other, since not every dataset can be read by several threads.
    """
    options = options or Options()
    check_target(out, about, options)
    parts = dict(source) if isinstance(source, Mapping) else {"": source}
    for part in parts.values():
        if not hasattr(part, "__getitem__") or not hasattr(part, "__len__"):
            raise InputError(
                f"a {type(part).__name__} has no length or cannot be indexed; give a map-style"
                " dataset"
            )
    offsets = np.cumsum([0, *map(len, parts.values())])
    if values is None:
        values = np.concatenate([_labels(part) for part in parts.values()]) if offsets[-1] else []
    first = next(iter(parts.values()), None)
    names = _classes(first) if labels is None else labels
    info, encoded = encoded_task(task, target, values, names)
    original = np.repeat(np.array(list(parts), dtype=str), np.diff(offsets))

    def image(place: int) -> Pixels:
        part = int(np.searchsorted(offsets, place, side="right")) - 1
        item = _item(list(parts.values())[part], place - int(offsets[part]))
        return as_pixels(item[0])

    def read(places: Indices) -> Iterator[Row]:
        for place in places.tolist():
            try:
                yield Decoded(image(place))
            except Exception as error:  # noqa: BLE001  # told later, with all others
                yield Failed(error)

    rows = Rows(
        kind=type(first).__name__,
        tasks=(info,),
        labels={task: encoded},
        read=read,
        channels=channels_of(int(offsets[-1]), image),
        names=[f"{name}[{place}]" for name, part in parts.items() for place in range(len(part))],
        subjects=subjects_in(subjects, "subjects"),
        original_splits=(
            split_names(original, "the datasets' names") if isinstance(source, Mapping) else None
        ),
    )
    return build(rows, out, about, options, progress)


def as_pixels(image: Any) -> Pixels:
    """PIL images and arrays as they are; tensors (C, H, W) with channels last, floating ones from
    [0, 1] to 0..255.
    """
    if image is None:
        raise InputError("there is no image; leave the row out")
    if not isinstance(image, torch.Tensor):
        return image if isinstance(image, Image.Image) else np.asarray(image)
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        raise InputError(
            f"a tensor of shape {tuple(image.shape)} is no image; expected (1, 3 or 4, H, W)"
        )
    array: NDArray[Any] = image.detach().cpu().permute(1, 2, 0).numpy()
    if array.dtype.kind != "f":
        return array
    if not (array.min() >= 0 and array.max() <= 1):
        raise InputError(
            f"a floating image has values in {array.min():g}..{array.max():g}; expected [0, 1]:"
            " take normalisation out of the dataset's transform"
        )
    scaled: NDArray[np.uint8] = np.rint(array * 255).astype(np.uint8)
    return scaled


def _classes(part: Any) -> Any:
    """Class names, of a part (`torch.utils.data.Subset`) those of the whole."""
    seen = 0
    while part is not None and not hasattr(part, "classes") and seen < _DEEPEST:
        part, seen = getattr(part, "dataset", None), seen + 1
    return getattr(part, "classes", None)


def _item(part: Any, place: int) -> tuple[Any, Any]:
    item = part[place]
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise InputError(f"item {place} is a {type(item).__name__}; expected a pair (image, label)")
    return item[0], item[1]


def _labels(part: Any) -> NDArray[Any]:
    for name in ("targets", "labels"):
        found = getattr(part, name, None)
        if found is not None and not callable(found) and len(found) == len(part):
            return np.asarray(found)
    return np.stack([_label(part, place) for place in range(len(part))])


def _label(part: Any, place: int) -> NDArray[Any]:
    try:
        return np.asarray(_item(part, place)[1])
    except Exception as error:
        raise ReadError(
            f"item {place} of {type(part).__name__} cannot be read for its label: {error}"
        ) from error

"""Convert a torchvision-style dataset: any object with a length and items (image, label)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.convert.columns import subjects as subjects_in
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.grey import common_channels
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.parts import Parts, read_one_by_one
from medimeta_adapter.convert.rows import Decoded, Pixels, Rows
from medimeta_adapter.convert.tasks import LabelNames, encode_task, label_names
from torchcross.data.sources.image_files import list_some
from torchcross.errors import InputError, ReadError

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
    """Write items (PIL image | tensor (C, H, W) | array, label) as the dataset `out/<id>`.

    `source` is one dataset, or a mapping such as {"train": dataset, "test": dataset}.

    labels   class names (default: `source.classes`; for a `Subset`, those of the whole dataset)
    values   one label per item (default: `source.targets` or `source.labels` if no
             `target_transform` changes them, else the labels of all items, which are then read
             once more)

    Items are read one after the other, because not every dataset is safe with several threads.
    """
    options = options or Options()
    check_target(out, about, options)
    for part in source.values() if isinstance(source, Mapping) else (source,):
        if not hasattr(part, "__getitem__") or not hasattr(part, "__len__"):
            raise InputError(
                f"a {type(part).__name__} has no length or cannot be indexed; give a map-style"
                " dataset"
            )
    parts = Parts(source)
    datasets = list(parts.by_name.values())
    if values is None or labels is None:
        _refuse_other_classes(parts.by_name)
    if values is None:
        values = np.concatenate([_labels(part) for part in datasets]) if len(parts) else []
    first = datasets[0] if datasets else None
    names = _classes(first) if labels is None else labels
    info, encoded = encode_task(task, target, values, names)

    def image(place: int) -> Pixels:
        number, row = parts.locate(place)
        return as_pixels(_item(datasets[number], row)[0])

    rows = Rows(
        kind=type(first).__name__,
        tasks=(info,),
        labels={task: encoded},
        read=read_one_by_one(lambda place: Decoded(image(place))),
        channels=common_channels(len(parts), image),
        names=parts.row_names(),
        subjects=subjects_in(subjects, "subjects"),
        original_splits=parts.original_splits("the datasets' names"),
        are_files=True,
        notes=parts.notes("the datasets' names"),
    )
    return build(rows, out, about, options, progress)


def as_pixels(image: Any) -> Pixels:
    """PIL images and arrays unchanged; tensors (C, H, W) as arrays with channels last.

    Floating tensors are scaled from [0, 1] to 0..255.
    """
    if image is None:
        raise InputError("there is no image; leave the row out")
    if not isinstance(image, torch.Tensor):
        return image if isinstance(image, Image.Image) else np.asarray(image)
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        raise InputError(
            f"a tensor of shape {tuple(image.shape)} is not an image; expected (1, 3 or 4, H, W)"
        )
    array: NDArray[Any] = image.detach().cpu().permute(1, 2, 0).numpy()
    if array.dtype.kind != "f":
        return array
    if not (array.min() >= 0 and array.max() <= 1):
        raise InputError(
            f"a floating image has values in {array.min():g}..{array.max():g}; expected [0, 1]:"
            " remove normalisation from the dataset's transform"
        )
    scaled: NDArray[np.uint8] = np.rint(array * 255).astype(np.uint8)
    return scaled


def _classes(part: Any) -> Any:
    """Class names; for a `torch.utils.data.Subset`, those of the whole dataset."""
    for _ in range(_DEEPEST):
        if hasattr(part, "classes"):
            break
        part = getattr(part, "dataset", None)
    return getattr(part, "classes", None)


def _refuse_other_classes(parts: Mapping[str, Any]) -> None:
    """Refuse parts in which one number may stand for different classes."""
    all_classes = {name: _classes(part) for name, part in parts.items()}
    known: dict[str, Mapping[int, str]] = {}
    for name, classes in all_classes.items():
        if isinstance(classes, np.ndarray):
            classes = classes.tolist()
        if isinstance(classes, Mapping | Sequence):
            known[name] = label_names(classes) or {}
    first = next(iter(known), "")
    for name, classes in known.items():
        if classes != known[first]:
            raise InputError(
                f"the classes of {first!r} are {list_some(list(known[first].values()))}, those of"
                f" {name!r} are {list_some(list(classes.values()))}, so that one number may mean"
                " two classes; give all parts the same classes, or values= with labels="
            )


def _item(part: Any, place: int) -> tuple[Any, Any]:
    item = part[place]
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise InputError(f"item {place} is a {type(item).__name__}; expected a pair (image, label)")
    return item[0], item[1]


def _labels(part: Any) -> NDArray[Any]:
    is_changed = getattr(part, "target_transform", None) is not None
    for name in () if is_changed else ("targets", "labels"):
        labels = getattr(part, name, None)
        if labels is not None and not callable(labels) and len(labels) == len(part):
            return np.asarray(labels)
    return np.stack([_label(part, place) for place in range(len(part))])


def _label(part: Any, place: int) -> NDArray[Any]:
    try:
        return np.asarray(_item(part, place)[1])
    except Exception as error:
        raise ReadError(
            f"item {place} of {type(part).__name__} cannot be read for its label: {error}"
        ) from error

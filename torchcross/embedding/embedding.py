"""One source by one backbone: what its features are called, and how they are made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchcross._kit.argument_checks import as_int, check_choice
from torchcross._kit.surroundings import installed_version, processor_kind
from torchcross._kit.threads import results_ahead
from torchcross.backbones.input_normalisation import MeanAndStd
from torchcross.data import Augmentation, TaskSource
from torchcross.data.sources.feature_files import (
    SUFFIX,
    FeatureFile,
    FeatureRecord,
    FeatureType,
    refuse_broken,
)
from torchcross.data.sources.feature_source import (
    FeatureSource,
    image_bytes_digest,
    image_fingerprint,
)
from torchcross.data.sources.feature_writing import open_unfinished, publish
from torchcross.embedding.digests import NetworkDigests
from torchcross.embedding.forward import BLOCK, BlockForward
from torchcross.embedding.record_differences import differences_in_words
from torchcross.errors import InputError, SourceError

Progress = Callable[[int], object]
"""It hears how many images are done."""

_DIGITS = 16
_FOREIGN = re.compile(r"[^A-Za-z0-9_=+-]+")
_LONGEST_NAME = 80
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class EmbeddingOptions:
    """How features are made.

    dtype      float32, or float16, which takes half the room and is an approximation
    views      how many vectors each image has: the first of the image as it is, the others of it
               as `augment` changes it
    augment    by default `Augmentation()`, where there is more than one view
    normalise  mean and standard deviation per channel, applied to images before the backbone, as
               the option of algorithms
    """

    dtype: FeatureType = "float32"
    views: int = 1
    augment: Augmentation | None = None
    normalise: MeanAndStd | None = None

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, get_args(FeatureType))
        if as_int("views", self.views) == 1 and self.augment is not None:
            raise InputError(
                "augment= was given, and there is one view, of each image as it is; give views=2 or"
                " more"
            )

    @property
    def augmentation(self) -> Augmentation | None:
        """What makes the further views."""
        if self.views == 1:
            return None
        return self.augment or Augmentation()


@dataclass(frozen=True)
class EmbeddedBlock:
    """The features (n, views, width) of one block, and the digest of its images."""

    number: int
    image_digest: bytes
    features: NDArray[np.float32]


@final
class Embedding:
    """The images of a source, to be embedded by a backbone as it is now.

    digests  those of this backbone, where they are known: they take long
    """

    def __init__(
        self,
        source: TaskSource,
        backbone: nn.Module,
        options: EmbeddingOptions | None = None,
        digests: NetworkDigests | None = None,
    ) -> None:
        if isinstance(source, FeatureSource):
            raise InputError(
                f"source {source.name!r} has stored features in place of images already; give the"
                " source with the images"
            )
        self.source, self.options = source, options or EmbeddingOptions()
        self._forward = BlockForward(backbone, self.options.normalise)
        # Now, as the copy that computes: later changes of the backbone change neither.
        self._digests = digests or NetworkDigests.of(backbone)
        self._about = self._description(backbone)

    @cached_property
    def record(self) -> FeatureRecord:
        """Of the features; their width is 1 until it is known."""
        options, augmentation = self.options, self.options.augmentation
        return FeatureRecord(
            images=len(self.source),
            views=options.views,
            width=1,
            dtype=options.dtype,
            block=BLOCK,
            data=image_fingerprint(self.source),
            weights=self._digests.weights,
            network=self._digests.network,
            preprocessing=self._forward.preprocessing.describe(),
            augmentation=None if augmentation is None else _plain(asdict(augmentation)),
            about=self._about,
        )

    @property
    def file_name(self) -> str:
        """The same for the same features of a source of this name."""
        name = _FOREIGN.sub("_", self.source.name)[:_LONGEST_NAME]
        return f"{name}-{self.record.key[:_DIGITS]}{SUFFIX}"

    def _description(self, backbone: nn.Module) -> dict[str, Any]:
        spec = getattr(backbone, "spec", None)
        about: dict[str, Any] = {
            "source": self.source.name,
            "backbone": type(backbone).__name__ if spec is None else spec.as_dict(),
            "torch": torch.__version__,
            "torchcross-fewshot": installed_version("torchcross-fewshot") or "not installed",
            "processor": processor_kind(self._forward.device),
        }
        plain: dict[str, Any] = _plain(about)
        return plain

    def open_file(self, path: Path) -> FeatureFile:
        """The file of these features; refused where it has others, whatever its name is."""
        file = FeatureFile(path)
        if file.record.key == self.record.key:
            return file
        raise SourceError(
            f"{path} has features with the key {file.record.key[:_DIGITS]}, and those of source"
            f" {self.source.name!r} have {self.record.key[:_DIGITS]} (they differ in"
            f" {differences_in_words(file.record, self.record)}): the file was renamed or replaced;"
            " remove it, and make the features again"
        )

    # -- computing ---------------------------------------------------------------------------------

    def write(self, unfinished: Path, path: Path, progress: Progress | None = None) -> None:
        """Make the file, or go on with the unfinished one of an earlier attempt.

        The images of its blocks are read again: a block of other images is made again.
        """
        report = progress or _say_nothing
        (first,) = self.blocks([0])
        record = replace(self.record, width=first.features.shape[2])
        with open_unfinished(unfinished, record) as writer:
            done = writer.done_blocks()
            for number, _, digest in results_ahead(np.flatnonzero(done).tolist(), self._read):
                done[number] = digest == writer.image_digest(number)
            if not done[0]:
                writer.write(0, first.image_digest, first.features)
                done[0] = True
            count = sum(len(record.images_of(block)) for block in np.flatnonzero(done).tolist())
            report(count)
            for block in self.blocks(np.flatnonzero(~done).tolist()):
                writer.write(block.number, block.image_digest, block.features)
                count += len(block.features)
                report(count)
        publish(unfinished, path)

    def blocks(self, numbers: Iterable[int]) -> Iterator[EmbeddedBlock]:
        """The features of these blocks; the images of the next ones are read meanwhile."""
        for number, images, digest in results_ahead(numbers, self._read):
            members = self._members(number)
            subject = f"source {self.source.name!r}, images {members.start}..{members.stop - 1}"
            views = [images, *(self._view(images, number, view) for view in self._more_views)]
            features = [self._forward(each, subject) for each in views]
            block = EmbeddedBlock(number, digest, np.stack(features, axis=1))
            refuse_broken(block.features, members, f"source {self.source.name!r}")
            if self.options.dtype == "float16":
                self._refuse_large(block)
            yield block

    @property
    def device(self) -> str:
        return str(self._forward.device)

    @property
    def _more_views(self) -> range:
        return range(1, self.options.views)

    def _members(self, number: int) -> range:
        return range(number * BLOCK, min((number + 1) * BLOCK, len(self.source)))

    def _read(self, number: int) -> tuple[int, Tensor, bytes]:
        members = self._members(number)
        images = self.source.read(np.arange(members.start, members.stop))
        return number, images, image_bytes_digest(images)

    def _view(self, images: Tensor, number: int, view: int) -> Tensor:
        augmentation = self.options.augmentation
        assert augmentation is not None, "there is more than one view"
        return augmentation.apply(images, index=number, part=f"view {view}")

    def _refuse_large(self, block: EmbeddedBlock) -> None:
        largest = float(np.abs(block.features).max())
        if largest > _LARGEST_HALF:
            raise InputError(
                f"source {self.source.name!r} has features as large as {largest:.3g}, and float16"
                f" holds none above {_LARGEST_HALF:.0f}; take dtype='float32'"
            )


@final
class FeaturesInMemory:
    """Features that are computed and kept, by the same blocks as those of files."""

    def __init__(self, embedding: Embedding, progress: Progress | None = None) -> None:
        report = progress or _say_nothing
        parts, self._digests, done = [], [], 0
        for block in embedding.blocks(range(embedding.record.blocks)):
            parts.append(block.features.astype(embedding.record.item))
            self._digests.append(block.image_digest)
            done += len(block.features)
            report(done)
        self._features = np.concatenate(parts)
        self.record = replace(embedding.record, width=self._features.shape[2])

    def rows(self, indices: NDArray[np.int64], *, views: bool = False) -> NDArray[np.float32]:
        features = self._features if views else self._features[:, 0]
        return features[indices].astype(np.float32)

    def image_digest(self, block: int) -> bytes:
        return self._digests[block]


def _say_nothing(done: int) -> None:
    return None


def _plain(values: Any) -> Any:
    """As JSON reads it back."""
    return json.loads(json.dumps(values, default=str))

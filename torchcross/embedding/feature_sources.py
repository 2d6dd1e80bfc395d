"""A source of stored vectors from a source of images, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torch import nn

from torchcross import errors
from torchcross._kit.progress import ProgressBar
from torchcross.backbones.input_normalisation import MeanAndStd
from torchcross.data import Augmentation, TaskSource
from torchcross.data.sources.feature_files import FeatureFile, FeatureType
from torchcross.data.sources.feature_source import FeatureSource
from torchcross.embedding.digests import network_digest, weights_digest
from torchcross.embedding.embedding import Embedding, EmbeddingOptions, FeaturesInMemory
from torchcross.embedding.job import EmbeddingJob, file_in, make_features
from torchcross.errors import ReadError, SourceError
from torchcross.jobs import InlineEngine, UnitFailure


def features(
    source: TaskSource,
    backbone: nn.Module,
    folder: str | Path | None = None,
    *,
    dtype: FeatureType = "float32",
    views: int = 1,
    augment: Augmentation | None = None,
    normalise: MeanAndStd | None = None,
    progress: bool | None = None,
) -> FeatureSource:
    """The same samples with the backbone's features in place of images, each computed once.

    They lie in a file of `folder` that is known by what made it: the images, the backbone's values
    and layers, what was done to the images, and the options. Where it is there, it is opened;
    where a part of it is there, the rest is made. Without a folder they are computed now and kept
    in memory. Take `backbones.vectors(features.width)` as the backbone of algorithms.

    dtype      in the file: float32, or float16, which is an approximation
    views      how many vectors each image has: the first of the image as it is, the others of it
               as `augment` changes it
    normalise  mean and standard deviation per channel, as the option of algorithms
    progress   a bar; None: where standard error is a terminal
    """
    options = EmbeddingOptions(dtype, views, augment, normalise)
    return store_features(Embedding(source, backbone, options), folder, progress)


def store_features(
    embedding: Embedding, folder: str | Path | None, progress: bool | None = None
) -> FeatureSource:
    """The source of an embedding's features: from its file, which is made where it is not there."""
    source = embedding.source
    if folder is None:
        with ProgressBar(len(source), source.name, unit="images", wanted=progress) as bar:
            return FeatureSource(source, FeaturesInMemory(embedding, bar), check_images=False)
    place = Path(folder)
    if not (place / file_in(place, embedding)).is_file():
        with ProgressBar(len(source), source.name, unit="images", wanted=progress) as bar:
            job = EmbeddingJob(_OnlyOne(embedding), str(place), embedding.device, progress=bar)
            result = make_features(job, InlineEngine())
        for failure in result.failures:
            raise _error_of(failure)
    # The images were looked at to find the file.
    file = embedding.open_file(place / file_in(place, embedding))
    return FeatureSource(source, file, check_images=False)


def open_features(
    path: str | Path, source: TaskSource, backbone: nn.Module | None = None
) -> FeatureSource:
    """Open a file of features of a source; refused if they are of other images.

    With a backbone, they are refused if other weights or layers made them.
    """
    file = FeatureFile(path)
    if backbone is not None:
        if file.record.weights != weights_digest(backbone):
            raise SourceError(
                f"{path} has features of other weights than this backbone's; make them of it, or"
                f" load the weights that made them: {file.record.about.get('backbone')}"
            )
        if file.record.network != network_digest(backbone):
            raise SourceError(
                f"{path} has features of a backbone with other layers or settings, such as another"
                f" pooling; make them of this one: {file.record.about.get('backbone')}"
            )
    return FeatureSource(source, file)


@final
@dataclass(eq=False)
class _OnlyOne:
    """One embedding of this process."""

    embedding: Embedding

    def names(self) -> Sequence[str]:
        return [self.embedding.source.name]

    def open(self, name: str) -> Embedding:
        return self.embedding

    def elsewhere(self) -> _OnlyOne:
        return self


def _error_of(failure: UnitFailure) -> Exception:
    """The error that a unit ended in; each error of the library is made of its message."""
    kind = getattr(errors, failure.kind, None) if failure.kind in errors.__all__ else None
    error: Exception
    if kind is None:
        error = ReadError(f"features could not be made: {failure.kind}: {failure.reason}")
    else:
        error = kind(failure.reason)
    return error

"""The features of a run's targets: units of their own, which the cells of a target need.

A file of features is `parts/features-<target>.safetensors`, with the backbone in its name where
there are several, and the seed where seeds start from other networks. It goes when the run is
complete.
"""

from __future__ import annotations

import os
import shutil
import time  # noqa: TID251 (durations are what is asked for)
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross.data import FeatureFile, FeatureRecord, FeatureSource
from torchcross.embedding import Embedding, file_in
from torchcross.evaluation import ProgressBar
from torchcross.experiment.rows.device import resources_of
from torchcross.experiment.rows.methods import METHODS, starting_network
from torchcross.experiment.rows.stored_features import embedding_of, uses_features
from torchcross.experiment.rows.target_episodes import TargetEpisodes, target_episodes
from torchcross.experiment.run.cell_parts import PARTS
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.file_names import file_name, key_text
from torchcross.experiment.settings.row_names import label_of
from torchcross.jobs import Unit

_SUFFIX: Final = ".safetensors"
UNFINISHED: Final = ".unfinished"


def features_unit(run: RunContext, cell: Cell) -> Unit | None:
    """The unit that makes the features which a cell needs; None where it needs none."""
    if not uses_features(run.experiment):
        return None
    path = features_path(run, cell)
    return Unit(features_key(run, cell), (path,), resources=resources_of(run.experiment.machine))


def features_key(run: RunContext, cell: Cell) -> str:
    return key_text(Path(features_path(run, cell)).stem)


def features_path(run: RunContext, cell: Cell) -> str:
    """Below the folder of the run."""
    method, name = METHODS[cell.algorithm], [cell.target]
    if label := label_of(cell.algorithm):
        name.append(label)
    if method.has_seeds(run.experiment_of(cell).model.has_weights):
        name.append(f"seed {cell.seed}")
    return f"{PARTS}/features-{file_name(tuple(name))}{_SUFFIX}"


def write_features(run: RunContext, cell: Cell, folder: Path) -> None:
    """Make the file of features of a cell's target, or take the one that is stored already."""
    place = folder / features_path(run, cell)
    place.parent.mkdir(exist_ok=True)
    embedding = _embedding(run, cell)
    stored = Path(run.experiment.data.features)
    stored /= file_in(stored, embedding)
    if stored.is_file():
        FeatureFile(stored).check()
        run.say(f"{cell.target}: features of {stored}")
        _link_or_copy(stored, place)
        return
    count = len(embedding.source)
    run.say(f"{cell.target}: features of {count} images")
    with ProgressBar(count, cell.target, unit="images", wanted=run.progress) as bar:
        embedding.write(place.with_name(place.name + UNFINISHED), place, bar)


def _embedding(run: RunContext, cell: Cell) -> Embedding:
    method, experiment = METHODS[cell.algorithm], run.experiment_of(cell)
    net = starting_network(method, experiment, cell.seed).to(run.machine.device)
    return embedding_of(run.collection.target(cell.target), net, experiment)


def _link_or_copy(stored: Path, place: Path) -> None:
    with suppress(FileExistsError):
        try:
            os.link(stored, place)
        except FileExistsError:
            raise
        except OSError:
            # Another file system, or one without hard links.
            part = place.with_name(place.name + ".part")
            shutil.copyfile(stored, part)
            part.replace(place)


def width_of(target: TargetEpisodes) -> int:
    """How many features the vectors of episodes of features have."""
    (source,) = target.sampler.sources
    assert isinstance(source, FeatureSource), "these are episodes of features"
    return source.width


def seconds_of_features(run: RunContext, cell: Cell) -> float:
    """About how long the features of a cell's target take, at the pace of one block."""
    embedding = _embedding(run, cell)
    (_,) = embedding.blocks([0])
    begin = time.monotonic()
    (block,) = embedding.blocks([0])
    return (time.monotonic() - begin) * len(embedding.source) / len(block.features)


@dataclass(frozen=True)
class _OneBlock:
    """The features of one block, over and over: enough to measure rows on."""

    record: FeatureRecord
    features: NDArray[np.float32]

    def rows(self, indices: Indices, *, views: bool = False) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = self.features[indices % len(self.features)]
        return rows if views else rows[:, 0]

    def image_digest(self, block: int) -> bytes:
        return b""


def made_up_episodes(run: RunContext, cell: Cell, of_images: TargetEpisodes) -> TargetEpisodes:
    """The same episodes with features of other images, which take as long."""
    (source,) = of_images.sampler.sources
    embedding = _embedding(run, cell)
    (block,) = embedding.blocks([0])
    record = replace(embedding.record, width=block.features.shape[2])
    features = FeatureSource(source, _OneBlock(record, block.features), check_images=False)
    return _with_features(run, features, of_images)


def _with_features(
    run: RunContext, features: FeatureSource, of_images: TargetEpisodes
) -> TargetEpisodes:
    episodes = target_episodes(features, run.experiment, of_images.count)
    return replace(of_images, sampler=episodes.sampler)


@final
class RunFeatures:
    """The features of targets in one process: each file is opened once."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._targets: dict[str, TargetEpisodes] = {}

    def episodes(self, cell: Cell, of_images: TargetEpisodes) -> TargetEpisodes:
        """The same episodes, of features in place of images."""
        path = features_path(self._run, cell)
        if path not in self._targets:
            (source,) = of_images.sampler.sources
            features = FeatureSource(source, self._run.folder.path / path)
            self._targets[path] = _with_features(self._run, features, of_images)
        return self._targets[path]

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
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross._kit.whole_files import unfinished_place
from torchcross.data import FeatureRecord, FeatureSource
from torchcross.data.sources.feature_files import read_record
from torchcross.embedding import Embedding, file_in
from torchcross.embedding.record_differences import (
    channels_of,
    differences_in_words,
    differing_parts,
)
from torchcross.errors import TorchcrossError
from torchcross.evaluation import ProgressBar
from torchcross.experiment.device import resources_of
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.rows.stored_features import embedding_of, row_uses_features
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
    if not row_uses_features(cell.algorithm, run.experiment):
        return None
    path = features_path(run, cell)
    return Unit(features_key(run, cell), (path,), resources=resources_of(run.experiment.machine))


def features_key(run: RunContext, cell: Cell) -> str:
    return key_text(Path(features_path(run, cell)).stem)


def features_path(run: RunContext, cell: Cell) -> str:
    """Below the folder of the run."""
    return f"{PARTS}/features-{file_name(_name_of(run, cell))}{_SUFFIX}"


def _name_of(run: RunContext, cell: Cell) -> tuple[str, ...]:
    method, name = METHODS[cell.algorithm], [cell.target]
    if label := label_of(cell.algorithm):
        name.append(label)
    if method.has_seeds(run.experiment_of(cell).model.has_weights):
        name.append(f"seed {cell.seed}")
    return tuple(name)


def known_features(run: RunContext) -> dict[str, dict[str, Any]]:
    """What the files of features that are there say of themselves, for a provenance."""
    known = {}
    for cell in run.cells():
        if row_uses_features(cell.algorithm, run.experiment):
            # A file that is not there, or damaged, fails its cells.
            with suppress(TorchcrossError):
                record = read_record(run.folder.path / features_path(run, cell))
                known[", ".join(_name_of(run, cell))] = {
                    "key": record.key,
                    "dtype": record.dtype,
                    "preprocessing": dict(record.preprocessing),
                    **record.about,
                }
    return known


def write_features(run: RunContext, cell: Cell, folder: Path) -> None:
    """Make the file of features of a cell's target, or take the one that is stored already."""
    place = folder / features_path(run, cell)
    place.parent.mkdir(exist_ok=True)
    embedding = _embedding(run, cell)
    stored = Path(run.experiment.data.features)
    stored /= file_in(stored, embedding)
    if stored.is_file():
        embedding.open_file(stored).check()
        run.say(f"{cell.target}: features of {stored}")
        link_or_copy(stored, place)
        return
    if unfitting := unfitting_file(stored.parent, embedding):
        run.say(f"note: {cell.target}: {unfitting}")
    count = len(embedding.source)
    run.say(f"{cell.target}: features of {count} images")
    with ProgressBar(count, cell.target, unit="images", wanted=run.progress) as bar:
        embedding.write(place.with_name(place.name + UNFINISHED), place, bar)


def unfitting_file(folder: Path, embedding: Embedding) -> str:
    """In words: the stored file of this source that is nearest to fitting; "" where there is none.

    Files that cannot be read are left out.
    """
    name, _, _ = embedding.file_name.rpartition("-")
    nearest: tuple[int, str] | None = None
    for path in sorted(folder.glob(f"{name}-*{_SUFFIX}")):
        with suppress(TorchcrossError, OSError):
            record = read_record(path)
            others = differing_parts(record, embedding.record)
            text = (
                f"{path} has {record.width} numbers an image, and differs in"
                f" {differences_in_words(record, embedding.record)}{_advice(record, embedding)}"
            )
            if others and (nearest is None or len(others) < nearest[0]):
                nearest = len(others), text
    return "" if nearest is None else f"no stored file fits: {nearest[1]}"


def _advice(record: FeatureRecord, embedding: Embedding) -> str:
    """The setting with which features of other channels fit."""
    there, here = channels_of(record), channels_of(embedding.record)
    if there is None or here is None or there == here:
        return ""
    return f"; for these features give data.channels={there} (--channels {there})"


def _embedding(run: RunContext, cell: Cell) -> Embedding:
    method, experiment = METHODS[cell.algorithm], run.experiment_of(cell)
    net = starting_network(method, experiment, cell.seed).to(run.machine.device)
    return embedding_of(run.collection.target(cell.target), net, experiment)


def link_or_copy(stored: Path, place: Path) -> None:
    """Give a stored file a name of the run, unless there is one."""
    with suppress(FileExistsError):
        try:
            os.link(stored, place)
        except FileExistsError:
            raise
        except OSError:
            # Another file system, or one without hard links.
            part = unfinished_place(place)
            try:
                shutil.copyfile(stored, part)
                part.replace(place)
            finally:
                part.unlink(missing_ok=True)


def width_of(target: TargetEpisodes) -> int:
    """How many features the vectors of episodes of features have."""
    (source,) = target.sampler.sources
    assert isinstance(source, FeatureSource), "these are episodes of features"
    return source.width


def seconds_of_image(run: RunContext, cell: Cell) -> float:
    """About how long the features of one image take, at the pace of one block."""
    embedding = _embedding(run, cell)
    (_,) = embedding.blocks([0])
    begin = time.monotonic()
    (block,) = embedding.blocks([0])
    return (time.monotonic() - begin) / len(block.features)


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

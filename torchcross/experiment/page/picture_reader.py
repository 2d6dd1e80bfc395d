"""The images of a run's episodes, read again from its data when a page is made.

A run stores which images its episodes drew and what was predicted of them, and no image but those
of its examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross._kit.pixels import as_pixels, thumbnail
from torchcross.data import TaskSource
from torchcross.data.plan_files.drawn_images import DrawnImages
from torchcross.errors import TorchcrossError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.run.episode_files import UNREADABLE, read_plans
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.settings.reading import experiment_from_values
from torchcross.report import Picture
from torchcross.report.episode_answers import EpisodePictures
from torchcross.report.episode_pictures import SIDE
from torchcross.targets.answer_names import answer_texts
from torchcross.task import Task

# Texts without a path: pages of equal runs are equal.
_GIVE_DATA: Final = "`torchcross report RUN --data FOLDER` reads them from the folder of the data"
_NO_DATA: Final = f"the data of this run are not at hand; {_GIVE_DATA}"
_UNREADABLE: Final = "the images of this episode cannot be read from the data"
_OTHER_DATA: Final = f"the data at hand have other labels than those of this run; {_GIVE_DATA}"
_NO_PLANS: Final = (
    "the run does not say which images its episodes drew; `torchcross report RUN --data FOLDER`"
    " draws its plans again"
)
_VECTORS: Final = "the samples are vectors, and no images"
_CHANNELS: Final = "the images have {} channels, and a picture has 1 or 3"


@final
@dataclass(frozen=True, eq=False)
class PictureReader:
    """Reads the episodes of one target at one number of shots."""

    source: TaskSource | None
    drawn: DrawnImages | None
    problem: str = ""

    def read(self, task: Task, episode: int, query: Indices) -> EpisodePictures:
        """The episode with this number; `query` are the images that were predicted."""
        if self.source is None or self.drawn is None or self.problem:
            return EpisodePictures(problem=self.problem)
        if episode not in self.drawn.episodes:
            return EpisodePictures(problem=_NO_PLANS)
        if set(task.classes) - set(self.source.task.classes):
            return EpisodePictures(problem=_OTHER_DATA)
        support, codes = _support_of(self.drawn, episode)
        try:
            images = [self.source.read(support), self.source.read(query)]
        except (TorchcrossError, OSError):
            return EpisodePictures(problem=_UNREADABLE)
        if any(batch.ndim != 4 for batch in images):
            return EpisodePictures(problem=_VECTORS)
        if images[0].shape[1] not in (1, 3):
            return EpisodePictures(problem=_CHANNELS.format(images[0].shape[1]))
        pixels = [[thumbnail(each, SIDE) for each in batch] for batch in as_pixels(images)]
        texts = _support_texts(self.source.task, task, codes)
        return EpisodePictures(tuple(map(Picture, pixels[0], texts)), tuple(pixels[1]))


class RunPictures:
    """Opens the data of a run once, and the plans of each target, shots and digest once.

    `data` is their folder now; by default that of the experiment.
    """

    def __init__(self, run: RunFolder, data: str | Path | None) -> None:
        self._run, self._data = run, data
        self._collection: Collection | None = None
        self._is_open = False
        self._readers: dict[tuple[str, int, str | None], PictureReader] = {}
        targets = run.plain(PROTOCOL).get("episodes of targets", {})
        self._keys = {str(each.get("name", key)): str(key) for key, each in targets.items()}

    def reader(self, target: str, shots: int, digest: str | None) -> PictureReader:
        """For a target by the name of its source; `digest` identifies the episodes of its rows."""
        key = (target, shots, digest)
        if key not in self._readers:
            self._readers[key] = self._open(self._keys.get(target, target), shots, digest)
        return self._readers[key]

    def _open(self, target: str, shots: int, digest: str | None) -> PictureReader:
        source = self._source(target)
        if source is None:
            return PictureReader(None, None, _NO_DATA)
        path = self._run.files.plans(target, shots)
        try:
            drawn = read_plans(path, [] if digest is None else [digest])
        except (*UNREADABLE, OSError):
            return PictureReader(source, None, _NO_PLANS)
        if source.fingerprint() != drawn.fingerprint:
            return PictureReader(source, drawn, _OTHER_DATA)
        return PictureReader(source, drawn)

    def _source(self, target: str) -> TaskSource | None:
        try:
            if not self._is_open:
                self._is_open = True
                experiment = experiment_from_values(self._run.experiment)
                data = experiment.data
                if self._data is not None:
                    data = replace(data, folder=str(self._data))
                self._collection, _ = open_targets(data)
            return None if self._collection is None else self._collection.target(target)
        except (TorchcrossError, OSError):
            return None


def _support_of(drawn: DrawnImages, episode: int) -> tuple[Indices, NDArray[np.int64]]:
    """The images of the support, and the codes of their labels in the source."""
    (row,) = np.flatnonzero(drawn.episodes == episode)
    is_there = (drawn.rows == row) & drawn.in_support
    return drawn.images[is_there], drawn.stratum_labels[drawn.strata[is_there]]


def _support_texts(whole: Task, task: Task, codes: NDArray[np.int64]) -> list[str]:
    """Labels as the episode has them: of several labels, those that its task has."""
    if codes.ndim == 1:
        return answer_texts(whole.target, codes)
    places = [whole.classes.index(name) for name in task.classes]
    return answer_texts(task.target, codes[:, places])

"""A row's predictions of one's own images: a folder of classes to learn from, one to predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from torchcross._kit.backgrounds import DEFAULT_BACKGROUND, Background
from torchcross._kit.whole_files import write_whole
from torchcross.algorithms import NamedPrediction, Predictor
from torchcross.data import ImageFolderSource, TaskSource
from torchcross.data.sources.image_files import is_hidden, list_image_files, list_some
from torchcross.data.sources.images import Mode, Size
from torchcross.episode import Batch
from torchcross.errors import InputError, SourceError
from torchcross.experiment.device import own_threads
from torchcross.experiment.opened.opened_run import OpenedRun
from torchcross.experiment.opened.own_files import OwnImageReader
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.target_episodes import target_episodes
from torchcross.report.csv_text import csv_text
from torchcross.task import Task

_AT_ONCE: Final = 64
"""Images that are in memory together, where a prediction does not depend on the others."""

Say = Callable[[str], object]


@final
@dataclass(frozen=True)
class ImagePredictions:
    """What a row of a run predicts of images.

    images        their names below the folder that was given
    prediction    a row of probabilities for each of them
    target, seed  the target that has the form of the images, which a row that trains was trained
                  without, and the training seed
    origin        what the row was trained without, and by which seed, where that matters to it
    zero_shot     whether it learned from no support set: then the classes are the target's
    """

    images: tuple[str, ...]
    prediction: NamedPrediction
    target: str
    seed: int
    zero_shot: bool = False
    origin: str = ""

    def write(self, path: str | Path) -> Path:
        """Write a CSV file, whole or not at all: image, class, and a probability of each class."""
        path = Path(path)
        head = ["image", "class", *(f"probability: {name}" for name in self.prediction.classes)]
        probabilities = self.prediction.probabilities.tolist()
        rows: Iterator[Sequence[Any]] = (
            (image, name, *(float(f"{value:.9g}") for value in values))
            for image, name, values in zip(
                self.images, self.prediction.names, probabilities, strict=True
            )
        )
        write_whole(path, csv_text(head, rows))
        return path


def predict_images(
    run: OpenedRun,
    row: str,
    support: str | Path | None,
    query: str | Path,
    *,
    target: str | None = None,
    seed: int | None = None,
    bits: int | None = None,
    background: Background = DEFAULT_BACKGROUND,
    say: Say = lambda line: None,
) -> ImagePredictions:
    """Adapt a row to the images of `support`, and predict those of `query`.

    support  a folder with a folder of images for each class; None for a row that needs no support
             set (zero-shot): its classes are those that the run scored it on
    query    a folder of images, flat or nested
    bits     8 to 16: how many the values of 16-bit files have, as for ImageFolderSource; without
             it, a warning names the first query image whose depth no image of the support has
    background  what transparent parts are laid over: "white", "grey" or "black"
    say      gets a line on what a reader must know: files passed over, and predictions that depend
             on the other images

    Images are read in the size and the channels of those of the target. Where the classes are
    those of the target, they keep its type, such as grades in their order.
    """
    if support is None:
        _check_needs_no_support(run, row)
        if target is None and len(run.targets) > 1:
            raise InputError(
                f"without a support set the classes are those of a target, and {run.folder.path}"
                f" has several: give one (target=, or --target), of {list_some(run.targets)}"
            )
    elif not Path(support).is_dir():
        raise SourceError(
            f"--support: {support} is not a folder; give one with a folder of images for each class"
        )
    names = _query_names(Path(query), say)
    algorithm = run.algorithm(row, target=target, seed=seed)
    source = run.source(algorithm.target)
    reader = OwnImageReader(*_form_of(source), bits=bits, background=background)
    if support is None:
        examples, task = _empty_support(run, source)
    else:
        examples, task = _support_of(Path(support), source.task, reader)
        # A row that reads texts has those of its target so far.
        if task is not source.task:
            algorithm = run.algorithm(row, target=algorithm.target, seed=algorithm.seed, task=task)
    device = next(algorithm.parameters()).device
    with own_threads(run.experiment.machine):
        predictor = algorithm.adapt(examples.to(device), task)
        at_once = len(names) if algorithm.is_transductive else _AT_ONCE
        if algorithm.is_transductive:
            say(
                f"{row} takes BatchNorm's statistics from the images that it predicts: all"
                f" {len(names)} are predicted together, and other images beside them would change"
                " a prediction"
            )
        batches = _batches(Path(query), names, at_once, reader)
        parts = [_predict(predictor, each.to(device)) for each in batches]
    return ImagePredictions(
        images=names,
        prediction=_join(parts),
        target=algorithm.target,
        seed=algorithm.seed,
        zero_shot=support is None,
        origin=algorithm.origin,
    )


def _form_of(source: TaskSource) -> tuple[Mode, Size]:
    """The colours and the size (height, width) of a source's images."""
    shape = tuple(source.read([0]).shape[1:])
    modes: dict[int, Mode] = {1: "L", 3: "RGB"}
    if len(shape) != 3 or shape[0] not in modes:
        raise InputError(
            f"{source.name} has images of shape {shape}, and image files are read as (1, H, W) or"
            " (3, H, W); use tx.open_run(folder).algorithm(...), and give tensors to adapt"
        )
    return modes[shape[0]], (int(shape[1]), int(shape[2]))


def _check_needs_no_support(run: OpenedRun, row: str) -> None:
    if row in run.rows and not METHODS[row].zero_shot:
        others = [name for name in run.rows if METHODS[name].zero_shot]
        instead = "; rows that read texts need none, and this run has no such row"
        if others:
            instead = f", or a row that needs none: {', '.join(others)}"
        raise InputError(
            f"the row {row!r} learns from a support set; give --support, a folder with a folder of"
            f" images for each class{instead}"
        )


def _empty_support(run: OpenedRun, source: TaskSource) -> tuple[Batch, Task]:
    """No image, and the classes of the target's episodes."""
    dropped = target_episodes(source, run.experiment).sampler.dropped_classes[source.name]
    whole = source.task.target
    positions = [place for place, name in enumerate(whole.classes) if name not in dropped]
    nothing = np.zeros(0, dtype=np.int64)
    return Batch(source.read([0])[:0], source.targets(nothing)), source.task.restrict(positions)


def _support_of(folder: Path, task: Task, reader: OwnImageReader) -> tuple[Batch, Task]:
    """The images to learn from; their task is that of the target where the classes are its own."""
    source = _support_source(folder, task)
    places = np.arange(len(source))
    return Batch(reader.read_support(source.paths), source.targets(places)), source.task


def _support_source(folder: Path, task: Task) -> ImageFolderSource:
    names = {each.name for each in folder.iterdir() if each.is_dir() and not is_hidden(each.name)}
    if len(names) < 2:
        there = f"has only the folder {min(names)}" if names else "has no folder"
        raise SourceError(
            f"--support: {folder} {there}; give a folder of images for each of two classes or more"
        )
    is_own = not task.target.label_shape and names == set(task.classes)
    source = ImageFolderSource(folder, task if is_own else None)
    present = set(np.unique(source.labels).tolist())
    empty = [name for place, name in enumerate(source.task.classes) if place not in present]
    if empty:
        raise SourceError(
            f"{folder}: no image in the folders {list_some(empty)}; give each class at least one,"
            " or take its folder away"
        )
    return source


def _query_names(folder: Path, say: Say) -> tuple[str, ...]:
    if not folder.is_dir():
        raise SourceError(f"--query: {folder} is not a folder; give a folder of images")
    listing = list_image_files(folder)
    if passed_over := listing.describe_passed_over():
        say(f"{folder}: passed over {passed_over}")
    if not listing.images:
        raise SourceError(f"--query: {folder} has no images; give a folder of images")
    return tuple(sorted(listing.images))


def _batches(
    folder: Path, names: Sequence[str], at_once: int, reader: OwnImageReader
) -> Iterator[Tensor]:
    for first in range(0, len(names), at_once):
        yield reader.read_query([folder / name for name in names[first : first + at_once]])


def _predict(predictor: Predictor, images: Tensor) -> NamedPrediction:
    with torch.no_grad():
        return predictor(images)


def _join(parts: Sequence[NamedPrediction]) -> NamedPrediction:
    scores = [part.scores for part in parts if part.scores is not None]
    return NamedPrediction(
        torch.cat([part.probabilities for part in parts]).cpu(),
        torch.cat([part.decisions for part in parts]).cpu(),
        parts[0].classes,
        torch.cat(scores).cpu() if len(scores) == len(parts) else None,
    )

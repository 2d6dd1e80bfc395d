"""The data of a study: a source of samples by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, final

from torchcross._kit.suggestions import unknown_name
from torchcross.data import TaskSource, class_fraction
from torchcross.errors import InputError


class StudyData(Protocol):
    """Datasets by name. It can be pickled: workers open it where they run."""

    def open(self, name: str) -> TaskSource:
        """All samples of a dataset."""

    def overlap(self, source: str, target: str) -> str:
        """Why a source must not be learned from for a target; empty where nothing is known."""


@final
class SourcesByName:
    """Task sources of this process."""

    def __init__(self, sources: Mapping[str, TaskSource]) -> None:
        self._sources = dict(sources)

    def open(self, name: str) -> TaskSource:
        if name not in self._sources:
            raise InputError(unknown_name("dataset", name, self._sources))
        return self._sources[name]

    def overlap(self, source: str, target: str) -> str:
        return ""


def at_most(source: TaskSource, images: int, seed: int) -> TaskSource:
    """The source, or as many of its samples as `images`, a share of each class; 0: all."""
    if not images or len(source) <= images:
        return source
    draw = class_fraction(source, images / len(source), seed=seed)
    return source.subset(draw.indices, name=source.name)

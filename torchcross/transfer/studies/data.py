"""The data of a study: a source of samples by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol, TypeAlias, final

from torchcross._kit.counts import count_text
from torchcross._kit.suggestions import unknown_name
from torchcross.data import TaskSource, class_fraction
from torchcross.errors import InfeasibleError, InputError

Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")


class StudyData(Protocol):
    """Datasets by name. It can be pickled: workers open it where they run.

    Data that knows which datasets are made up also has a method `is_synthetic(name)`, for the
    cautions of reports.
    """

    def open(self, name: str) -> TaskSource:
        """All samples of a dataset."""

    def part(self, name: str, split: Split) -> TaskSource:
        """A split that a dataset comes with; called where a study has `splits="own"`."""

    def overlap(self, source: str, target: str) -> str:
        """Why a source must not be learned from for a target; empty where nothing is known."""


@final
class SourcesByName:
    """Task sources of this process; `parts` are the splits of those that come with some."""

    def __init__(
        self,
        sources: Mapping[str, TaskSource],
        parts: Mapping[str, Mapping[Split, TaskSource]] | None = None,
    ) -> None:
        self._sources, self._parts = dict(sources), dict(parts or {})

    def open(self, name: str) -> TaskSource:
        if name not in self._sources:
            raise InputError(unknown_name("dataset", name, self._sources))
        return self._sources[name]

    def part(self, name: str, split: Split) -> TaskSource:
        if split not in self._parts.get(name, {}):
            raise InputError(f"{name!r} has no split {split!r}; give it in parts=")
        return self._parts[name][split]

    def overlap(self, source: str, target: str) -> str:
        return ""


def at_most(source: TaskSource, images: int, seed: int) -> TaskSource:
    """The source, or about `images` of its samples; 0: all.

    Each class has its share and subjects stay whole, so that it can be a few more or fewer.
    """
    if not images or len(source) <= images:
        return source
    try:
        draw = class_fraction(source, images / len(source), seed=seed)
    except InfeasibleError as error:
        raise InfeasibleError(
            f"{count_text(images, 'images')} of {len(source):,} are too few: {error}. In a study,"
            " these are source_images or target_images, and fold_seed"
        ) from error
    return source.subset(draw.indices, name=source.name)

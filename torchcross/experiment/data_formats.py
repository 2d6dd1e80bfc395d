"""Formats of data: each is a function that opens a folder, registered as an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, Protocol

from torchcross._kit.installed_packages import (
    InstalledPackage,
    load_entry_point,
    package_of_point,
    sole_point,
)
from torchcross.data import TaskSource
from torchcross.errors import InputError

GROUP = "torchcross.collections"
"""Entry points: a name, and a function (folder, channels=..., leave_out=...) -> Collection.

`leave_out` is "dataset": a target's sources are without what overlaps with its dataset; or
"domain": and without what is of its domain.
"""


class Collection(Protocol):
    """Datasets of several domains; docs/experiments.md has a whole one.

    A target's pixels are read from the source that `target` returns, and by nothing else but
    `describe`, for a fingerprint that no model sees.

    Three more methods are optional:

    annotation(target, column, *, split)  for results by subgroup: the texts of a column, one for
                                          each image of `self.target(target, split=split)`
    dataset_name(target)                  for prompts: what its dataset is called
    is_synthetic(target)                  for the cautions of transfer studies: whether its images
                                          are made up
    """

    def targets(self) -> tuple[str, ...]:
        """The names of all tasks that can be a target."""

    def sources(
        self, target: str, *, split: Literal["train", "val"], tasks: Literal["primary", "all"]
    ) -> tuple[TaskSource, ...]:
        """The sources that remain where `target` is left out, if they have samples in the split."""

    def target(
        self, target: str, *, split: Literal["all", "train", "val", "test"] = "all"
    ) -> TaskSource:
        """The source of the target itself."""

    def target_name(self, text: str) -> str:
        """The full name of a target that a person writes; an error names the nearest one."""

    def why(self, target: str) -> Mapping[str, str]:
        """The part of every dataset where `target` is left out, and the reason."""

    def cautions(self, target: str) -> tuple[str, ...]:
        """What a reader must know of the sources of `target`: say, that one is of its domain."""

    def related_targets(self) -> tuple[frozenset[str], ...]:
        """Targets that share subjects, and so are not independent of each other."""

    def describe(self) -> Mapping[str, object]:
        """What a report says of the data: names, sizes, licences, a fingerprint, and so on.

        A run does not go on where this has changed. A part that cannot be read now is a mapping
        with the reason under "unreadable": it counts as unchanged. An error that is raised counts
        for all parts.
        """


def open_collection(
    kind: str,
    folder: str | Path,
    *,
    channels: int,
    leave_out: Literal["dataset", "domain"] = "dataset",
) -> Collection:
    """The collection in a folder, opened by the package that knows its format.

    A description that cannot be read is an error here, before any work: what overlaps with it is
    not known, so no target could be left out safely. Labels and images that cannot be read are
    errors where they are needed.

    >>> from medimeta_adapter.synthetic import generate
    >>> from torchcross.experiment import open_collection
    >>> folder = generate("data", only=["oct", "bus"], size=16)
    >>> open_collection("medimeta", folder, channels=1).targets()
    ('bus/case category', 'oct/disease class')
    """
    point = sole_point("format", kind, entry_points(group=GROUP))
    if point is None:
        formats = ", ".join(sorted({each.name for each in entry_points(group=GROUP)})) or "none"
        raise InputError(f"no package opens data of the format {kind!r}; there are {formats}")
    make = load_entry_point(point, "format")
    try:
        collection: Collection = make(folder, channels=channels, leave_out=leave_out)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be opened ({error}); give a folder of datasets that can be read"
        ) from error
    return collection


def format_package(kind: str) -> InstalledPackage | None:
    """The installed package that opens data of a format."""
    point = sole_point("format", kind, entry_points(group=GROUP))
    return None if point is None else package_of_point(point)

"""Where an experiment's sources and targets come from: whatever registers itself to open a
folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, Protocol

from torchcross.data import TaskSource
from torchcross.errors import InputError

__all__ = ["GROUP", "Collection", "open_collection"]

GROUP = "torchcross.collections"
"""Entry points: a name, and a function (folder, channels=..., leave_out=...) -> Collection.

`leave_out` is "dataset": what overlaps with a target's dataset leaves its sources; or "domain": and
what is of its domain.
"""


class Collection(Protocol):
    """Datasets of several domains. A target's pixels are read from the source that `target` hands
    out (and by `describe`, some, for a fingerprint that no model sees).
    """

    def targets(self) -> tuple[str, ...]:
        """The names of all tasks that can be a target."""
        ...

    def sources(
        self, target: str, *, split: Literal["train", "val"], tasks: Literal["primary", "all"]
    ) -> tuple[TaskSource, ...]:
        """What may be learned from where `target` is left out; sources without samples in the split
        are left out.
        """
        ...

    def target(
        self, target: str, *, split: Literal["all", "train", "val", "test"] = "all"
    ) -> TaskSource:
        """The target itself."""
        ...

    def named(self, given: str) -> str:
        """The full name of a target from what a person writes; an error tells the nearest one."""
        ...

    def why(self, target: str) -> Mapping[str, str]:
        """What every dataset is where `target` is left out, and for what reason."""
        ...

    def cautions(self, target: str) -> tuple[str, ...]:
        """What a reader must know of the sources of `target`: that one is of the target's domain,
        say.
        """
        ...

    def related(self) -> tuple[frozenset[str], ...]:
        """Targets that share subjects, and so are not independent of each other."""
        ...

    def describe(self) -> Mapping[str, object]:
        """What a report says of the data: names, sizes, whether it is synthetic, licences, a
        fingerprint.

        A run that goes on is refused where this differs from what it was. A part that cannot be
        read now is a mapping with the reason under "unreadable": it differs from nothing. An error
        that is raised counts for the whole.
        """
        ...


def open_collection(
    kind: str,
    folder: str | Path,
    *,
    channels: int,
    leave_out: Literal["dataset", "domain"] = "dataset",
) -> Collection:
    """The collection in a folder, opened by the package that knows its format.

    A description that cannot be read is an error here, before any work: it is not known what it
    overlaps with, so no target could be left out safely. Labels and images that cannot be read are
    errors of those who ask for them.
    """
    known = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in known:
        raise InputError(
            f"no package opens data of the format {kind!r}; there are"
            f" {', '.join(sorted(known)) or 'none'}"
        )
    try:
        make = known[kind].load()
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the format {kind!r} is {known[kind].value}, which cannot be loaded: {error}"
        ) from error
    try:
        opened: Collection = make(folder, channels=channels, leave_out=leave_out)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be opened ({error}); give a folder of datasets that can be read"
        ) from error
    return opened

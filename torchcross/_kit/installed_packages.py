"""Entry points of installed packages: which package has one, and what it names."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable
from importlib.metadata import EntryPoint
from typing import Any, NamedTuple

from torchcross.errors import InputError, TorchcrossWarning


class InstalledPackage(NamedTuple):
    """An installed distribution, and its version."""

    name: str
    version: str


def package_of_point(point: EntryPoint) -> InstalledPackage:
    """Of an entry point; one that says no distribution is known by its module."""
    if point.dist is None:
        return InstalledPackage(point.module, "unknown")
    return InstalledPackage(point.dist.name, point.dist.version)


def sole_point(kind: str, name: str, points: Iterable[EntryPoint]) -> EntryPoint | None:
    """The entry point of a name, None where there is none; of several packages it is refused."""
    named = [point for point in points if point.name == name]
    if len({point.value for point in named}) > 1:
        listed = ", ".join(f"{package_of_point(each).name} ({each.value})" for each in named)
        raise InputError(
            f"the {kind} {name!r} is of several installed packages: {listed}; uninstall all but one"
            " of them"
        )
    return named[0] if named else None


def warn_of_unused_points(kind: str, points: Iterable[EntryPoint], own: Container[str]) -> None:
    """Warn of each entry point with the name of one of the library's `own` items.

    Such an entry point is not used.
    """
    for point in points:
        if point.name in own:
            warnings.warn(
                f"the {kind} {point.name!r} of the installed package"
                f" {package_of_point(point).name} is not used: the library has a {kind} of this"
                " name; the package must choose another name",
                TorchcrossWarning,
                stacklevel=4,
            )


def load_entry_point(point: EntryPoint, kind: str) -> Any:
    """What an entry point names; one that cannot be loaded is an error that names it."""
    try:
        return point.load()
    except Exception as error:
        raise InputError(
            f"the {kind} {point.name!r} is {point.value}, which cannot be loaded:"
            f" {type(error).__name__}: {error}"
        ) from error

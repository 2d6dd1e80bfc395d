"""Losses that targets have beside those of the library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, final

from torchcross._kit.extensions import checked_name
from torchcross._kit.installed_packages import (
    InstalledPackage,
    load_entry_point,
    package_of_point,
    sole_point,
    warn_of_unused_points,
)
from torchcross._kit.rollback import undo_on_failure
from torchcross.errors import InputError, TargetError
from torchcross.targets.objective import Objective

GROUP = "torchcross.losses"
_PACKAGES: set[InstalledPackage] = set()
_LIBRARY: set[str] = set()
"""Names of the library's losses, which no package can have."""


@final
@dataclass(frozen=True)
class OwnLoss:
    """An objective, and the classes of targets that it is for."""

    objective: Objective
    targets: tuple[type[Any], ...]


def offer_loss(name: str, loss: object) -> None:
    """Add a loss to the objectives of its targets; a name that one of them has is refused."""
    checked_name("loss", name)
    if not isinstance(loss, OwnLoss) or not isinstance(loss.objective, Objective):
        raise InputError(
            f"the loss {name!r} is a {type(loss).__name__}; give an Objective and the targets that"
            " it is for: OwnLoss(objective, (MultiClass,))"
        )
    _check_targets(name, loss.targets)
    for kind in loss.targets:
        known = kind.objectives.get(name)
        if known not in (None, loss.objective):
            raise InputError(
                f"{kind.__name__} has a loss {name!r} already; give yours another name"
            )
    for kind in loss.targets:
        undo_on_failure(partial(setattr, kind, "objectives", kind.objectives))
        kind.objectives = {**kind.objectives, name: loss.objective}


def _check_targets(name: str, targets: object) -> None:
    are_targets = isinstance(targets, tuple) and all(
        isinstance(kind, type) and isinstance(getattr(kind, "objectives", None), Mapping)
        for kind in targets
    )
    if not targets or not are_targets:
        raise InputError(
            f"the loss {name!r} is for the targets {targets!r}; give one class of targets or more,"
            " such as [MultiClass]"
        )


def reserve_losses(names: Iterable[str]) -> None:
    """Let these names be the library's: a loss of an installed package is not used under them."""
    _LIBRARY.update(names)


def load_installed(name: str) -> None:
    """Offer the loss of this name that an installed package has to its targets."""
    if point := _installed_point(name):
        _load(point)


def load_installed_if_whole(name: str) -> None:
    """The same, where it can be loaded: one that cannot has no claim to the name."""
    if point := _installed_point(name):
        with suppress(InputError):
            _load(point)


def _installed_point(name: str) -> EntryPoint | None:
    """The entry point of a loss; None where no package has it, or the name is the library's."""
    if name in _LIBRARY:
        return None
    return sole_point("loss", name, entry_points(group=GROUP, name=name))


def _load(point: EntryPoint) -> None:
    offer_loss(point.name, load_entry_point(point, "loss"))
    _PACKAGES.add(package_of_point(point))


@cache
def _warn_of_unused_losses() -> None:
    """Say once which entry points have the name of a loss of the library."""
    warn_of_unused_points("loss", entry_points(group=GROUP), _LIBRARY)


def objectives_with(kind: type[Any], loss: object) -> Mapping[str, Objective]:
    """The objectives of a target, which must have this loss: of the library, added, or installed.

    A target that lacks it is a TargetError.
    """
    _warn_of_unused_losses()
    if isinstance(loss, str) and loss not in kind.objectives:
        load_installed(loss)
    objectives: Mapping[str, Objective] = kind.objectives
    if not isinstance(loss, str) or loss not in objectives:
        raise TargetError(
            f"{kind.__name__} has no loss {loss!r}; choose one of {sorted(objectives)}"
        )
    return objectives


def loss_packages() -> frozenset[InstalledPackage]:
    """The installed packages that losses were loaded from."""
    return frozenset(_PACKAGES)

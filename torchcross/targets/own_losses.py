"""Losses that targets have beside those of the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import Any, final

from torchcross._kit.extensions import checked_name
from torchcross._kit.installed_packages import InstalledPackage, load_entry_point, package_of_point
from torchcross._kit.rollback import undo_on_failure
from torchcross.errors import InputError, TargetError
from torchcross.targets.objective import Objective

GROUP = "torchcross.losses"
_PACKAGES: set[InstalledPackage] = set()


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


def load_installed(name: str) -> None:
    """Offer the losses of this name that installed packages have, each to its own targets."""
    for point in entry_points(group=GROUP, name=name):
        offer_loss(name, load_entry_point(point, "loss"))
        _PACKAGES.add(package_of_point(point))


def objectives_with(kind: type[Any], loss: object) -> Mapping[str, Objective]:
    """The objectives of a target, which must have this loss: of the library, added, or installed.

    A target that lacks it is a TargetError.
    """
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

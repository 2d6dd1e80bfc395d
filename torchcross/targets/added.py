"""Targets and losses of other packages and plugin files.

A target needs no entry here to be learned: a source simply has one. What is here can also be read
again from files, which know a target by its kind and a loss by its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torchcross._kit.extensions import Extensions, checked_name
from torchcross.errors import InputError
from torchcross.targets.base import Target
from torchcross.targets.binary import Binary
from torchcross.targets.multiclass import MultiClass
from torchcross.targets.multilabel import MultiLabel
from torchcross.targets.objective import Objective
from torchcross.targets.ordinal import Ordinal
from torchcross.targets.own_losses import (
    OwnLoss,
    load_installed_if_whole,
    offer_loss,
    reserve_losses,
)


def _checked_target(name: str, item: Any) -> type[Target]:
    if not (isinstance(item, type) and issubclass(item, Target)):
        raise InputError(f"the target {name!r} is {item!r}; give a subclass of Target")
    if getattr(item, "kind", None) != name:
        raise InputError(
            f"{item.__name__} has the kind {getattr(item, 'kind', None)!r} and is added as"
            f" {name!r}; give both one name"
        )
    return item


TARGETS: Extensions[type[Target]] = Extensions(
    {kind.kind: kind for kind in (Binary, MultiClass, MultiLabel, Ordinal)},
    group="torchcross.targets",
    kind="target",
    check=_checked_target,
)
"""By their kinds: the targets that files may have."""

reserve_losses(name for kind in TARGETS.values() for name in kind.objectives)


def add_target(kind: type[Target]) -> type[Target]:
    """Let files of predictors and predictions have a target of your own; also a decorator.

    It is made again as `kind(classes, missing=..., loss=..., **options)`, with the classes as
    `{value: name}` where it has label values. A plugin file calls this; an entry point of the group
    `torchcross.targets`, with the kind as its name, does the same for an installed package.
    """
    return TARGETS.add(getattr(kind, "kind", repr(kind)), kind)


def add_loss(name: str, objective: Objective, targets: Iterable[type[Target]]) -> None:
    """Give targets a loss of your own: `MultiClass([...], loss=name)` then takes it.

    A plugin file calls this; an entry point of the group `torchcross.losses` that names an
    `OwnLoss` does the same for an installed package.
    """
    load_installed_if_whole(checked_name("loss", name))
    kinds: Any = tuple(targets) if isinstance(targets, Iterable) else targets
    offer_loss(name, OwnLoss(objective, kinds))

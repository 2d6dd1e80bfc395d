"""What is published, point by point: the form of the facts with which presets are compared.

They were read in the paper (Woerner et al. 2024) and in the scripts that its authors published,
where the two differ in the scripts. A point names the settings that decide it here, with the values
that make it as published. To add a point, add a `ProtocolPoint` to `TABLE_4` or `TABLE_3`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torchcross.experiment.settings.schema import Experiment

Words = str | Callable[[Experiment], str]


@dataclass(frozen=True)
class OneOf:
    """Several published values; the first is the one to give."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class AnyFile:
    """Some file, which must be given; `says` is what it holds."""

    says: str


@dataclass(frozen=True)
class ProtocolPoint:
    """One point of a published protocol.

    values    the settings that decide it here -> their values as published; a function of the
              experiment where one value depends on another
    here      what no setting makes as published
    row       the row that it is about; "" for all
    """

    name: str
    published: str
    values: Mapping[str, Any] = field(default_factory=dict)
    here: Words = ""
    row: str = ""


@dataclass(frozen=True)
class Publication:
    name: str
    points: tuple[ProtocolPoint, ...]

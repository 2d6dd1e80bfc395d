"""Random heads and dropout masks belong to (seed, number), never to a global generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torchcross.errors import InputError


@dataclass(frozen=True)
class DrawKey:
    """What the random draws of one episode or batch belong to, and its name in messages.

    `number` is None where neither a plan nor `indices` gives one.
    """

    name: str
    seed: int
    number: int | None

    def number_for(self, draw: str) -> int:
        if self.number is None:
            raise InputError(
                f"{self.name} has no plan, and {draw} is drawn for its number; sample from a"
                " sampler, or pass indices=[...], one number for each."
            )
        return self.number


def draw_keys(
    kind: str,
    items: Sequence[Any],
    names: Sequence[str],
    seed: int,
    indices: Sequence[int] | None,
) -> list[DrawKey]:
    """Return a key for each item; its number is in `indices`, or in its plan.

    `kind` is what the items are, for messages: "episode" or "batch".
    """
    if not items:
        raise InputError(f"a training step needs at least one {kind}; the sequence given is empty.")
    if indices is not None and len(indices) != len(items):
        raise InputError(
            f"{len(indices)} indices were given for {len(items)} items; give one for each {kind}."
        )
    plans = [getattr(item, "plan", None) for item in items]
    numbers = [getattr(plan, "index", None) for plan in plans] if indices is None else indices
    return [DrawKey(name, seed, number) for name, number in zip(names, numbers, strict=True)]

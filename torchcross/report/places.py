"""Which targets at which shots a sentence holds for, in words."""

from __future__ import annotations

from collections.abc import Iterable

from torchcross._kit.listed_names import listed_names
from torchcross.report.numbers import shots_title


def places_text(places: Iterable[tuple[str, int]]) -> str:
    """Targets of the same shots stand together: "a, b at 1 shot and 5 shots; c at 5 shots"."""
    shots_of: dict[str, dict[int, None]] = {}
    for target, shots in places:
        shots_of.setdefault(target, {})[shots] = None
    alike: dict[tuple[int, ...], list[str]] = {}
    for target, numbers in shots_of.items():
        alike.setdefault(tuple(sorted(numbers)), []).append(target)
    return "; ".join(
        f"{', '.join(targets)} at {listed_names(map(shots_title, numbers))}"
        for numbers, targets in alike.items()
    )

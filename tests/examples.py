"""How many examples a property test draws, in one place for `make test` and `make fuzz`."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

USUAL, FUZZ = 50, 1000


def max_examples(count: int, **more: Any) -> settings:
    """A decorator: `count` examples in `make test`, twenty times as many in `make fuzz`.

    Use it instead of `settings(max_examples=...)`, which `make fuzz` could not raise.
    """
    return settings(max_examples=count * settings().max_examples // USUAL, **more)

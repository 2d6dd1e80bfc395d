"""How many examples a property test draws, in one place for `make test` and `make fuzz`."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

USUAL, FUZZ = 30, 600


def max_examples(count: int, *, fuzz: int | None = None, **more: Any) -> settings:
    """A decorator: `count` examples in `make test`; in `make fuzz` `fuzz`, or 20 times as many.

    Use it instead of `settings(max_examples=...)`, which `make fuzz` could not raise.
    """
    profile = settings().max_examples
    if fuzz is not None and profile > USUAL:
        return settings(max_examples=fuzz, **more)
    return settings(max_examples=count * profile // USUAL, **more)

"""The shapes that stand in signatures, checked at run time: a plugin for a pytest of its own.

python -m pytest -p tests.repository.shape_checks \
    --jaxtyping-packages=torchcross.losses,tests.repository.shape_checks.checked tests/losses
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import AbstractArray, jaxtyped

# Shapes are either right or wrong at the first call. The tests draw more in their own run.
EXAMPLES = 10

# That an int may stand for a float is what `float` means in an annotation.
_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with checks of its shapes; mypy checks all other annotations, and knows
    more of them.
    """
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if has_shape(hint)}
    return _beartype(function)


def has_shape(hint: object) -> bool:
    """Return whether an annotation says a shape, anywhere in it."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(has_shape(part) for part in get_args(hint))


def _jaxtyped_where_it_can(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """jaxtyping wraps the `__init__` of a dataclass, and cannot wrap the one that an abstract one
    has from `object`.
    """
    wrap = jaxtyped(typechecker=typechecker)
    return lambda item: item if getattr(item, "__init__", None) is object.__init__ else wrap(item)


# What the import hook writes above every function and class that it meets.
jaxtyping.jaxtyped = _jaxtyped_where_it_can  # type: ignore[assignment]


def pytest_configure() -> None:
    """Draw fewer examples; the tests' own conftest has chosen its profile by now."""
    settings.register_profile("shapes", settings(), max_examples=EXAMPLES)
    settings.load_profile("shapes")

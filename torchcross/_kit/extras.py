"""Libraries that only an extra of this distribution brings."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from torchcross.errors import MissingExtraError


def import_extra(module: str, extra: str, user: str) -> ModuleType:
    """A library that `user` needs, or an error that says how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{user} needs {module}, which cannot be imported ({error}); run: pip install"
            f" 'torchcross-fewshot[{extra}]'"
        ) from error


def check_extra(module: str, extra: str, user: str, *, instead: str) -> None:
    """Refuse what needs a library that is not installed, before it is needed. Imports nothing."""
    if find_spec(module) is None:
        raise MissingExtraError(
            f"{user} needs {module}, which is not installed; run: pip install"
            f" 'torchcross-fewshot[{extra}]', or {instead}"
        )

"""Libraries that only an extra of this distribution brings."""

from __future__ import annotations

from importlib import import_module
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

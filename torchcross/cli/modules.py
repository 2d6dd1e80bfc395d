"""Modules of the user's own, by the place of what makes them: `package.module:callable`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def module_at(place: str) -> nn.Module:
    """The module that `place`, the value of --module, names or makes."""
    from torch import nn

    module, colon, name = place.partition(":")
    if not (colon and module and name):
        raise InputError(f"--module got {place!r}; give package.module:callable")
    try:
        make = getattr(import_module(module), name)
    except ImportError as error:
        raise InputError(
            f"--module: {module!r} cannot be imported ({error}); is its folder on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        public = [other for other in dir(import_module(module)) if not other.startswith("_")]
        raise InputError(unknown_name(f"name in {module}", name, public)) from error
    made = make() if callable(make) else make
    if not isinstance(made, nn.Module):
        raise InputError(
            f"--module: {place} made a {type(made).__name__}; it must make a torch.nn.Module"
        )
    return made

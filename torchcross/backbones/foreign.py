"""What models of other packages need: the package itself, a seed, options that can be described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from torchcross._kit.argument_checks import checked_text
from torchcross.backbones.initial_values import Seed, generator_of
from torchcross.backbones.sketch import is_sketching
from torchcross.errors import InputError, MissingExtraError

_FETCHING = (
    "weights",
    "weights_backbone",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_model_args",
    "checkpoint_path",
    "cache_dir",
)


def import_package(name: str, user: str, *, install: str = "") -> ModuleType:
    """A module of an optional package; `user` is the function that needs it."""
    try:
        return import_module(name)
    except ImportError as error:
        package = install or name.partition(".")[0]
        raise MissingExtraError(
            f"{user} needs {package}, which cannot be imported ({error}); install {package}, or use"
            " a backbone of torchcross.backbones"
        ) from error


def check_plain_name(name: str) -> None:
    """Refuse a name that another package would take for a place to fetch from."""
    if set(checked_text("name", name)) & set(":/\\"):
        raise InputError(
            f"name={name!r} is an address; give the plain name of an architecture, or"
            " pretrained=True to have the weights too"
        )


def refuse_fetching_options(options: Mapping[str, Any]) -> None:
    """Refuse options that fetch or read weights, or that a description cannot hold."""
    fetching = [option for option in _FETCHING if option in options]
    if fetching:
        raise InputError(
            f"{fetching[0]}= would fetch or read weights without a record of them; give"
            " pretrained=True, or load_weights(backbone, path) from a local file"
        )
    not_plain = [option for option, value in options.items() if not is_plain(value)]
    if not_plain:
        raise InputError(
            f"{not_plain[0]}= is not a number, a text or a list of them, so the backbone would have"
            " no description; build the model yourself and give it to as_backbone"
        )


def is_plain(value: object) -> bool:
    """Whether JSON has the value."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and is_plain(part) for name, part in value.items())
    return value is None or isinstance(value, bool | int | float | str)


def refuse_unused(pretrained: object, **arguments: object) -> None:
    """Refuse arguments that say how to fetch weights where none are wanted."""
    for name, value in arguments.items():
        if not pretrained and value is not None:
            raise InputError(
                f"{name}={value!r} is for pretrained weights; give pretrained=True too"
            )


@contextmanager
def draw_from(seed: Seed) -> Iterator[None]:
    """Let code that draws from the global generator draw from ours; restore the global one."""
    generator = generator_of(seed)
    device = torch.device("meta" if is_sketching() else "cpu")
    with torch.random.fork_rng(devices=[]), device:
        torch.random.set_rng_state(generator.get_state())
        yield
        if generator is seed:
            generator.set_state(torch.random.get_rng_state())


def refuse_values_that_are_not_finite(module: nn.Module, file: str) -> None:
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"{file!r}: the entry {name!r} has values that are not finite")

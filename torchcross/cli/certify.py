"""Hold an algorithm's gradient against float64 finite differences and a closed form.

The episodes are made up, some of every target type. Exit status 0 if and only if all that is
claimed holds.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from typing import TYPE_CHECKING

from torchcross._kit.suggestions import unknown_name
from torchcross.cli.group import Parser
from torchcross.cli.modules import module_at
from torchcross.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from torchcross.algorithms import Algorithm, Pretraining

_HOLDS, _DOES_NOT = 0, 1


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "--algorithm", metavar="NAME", help="of torchcross.algorithms (default: maml)"
    )
    parser.add_argument("--engine", metavar="NAME", help="of torchcross.functional.ENGINES")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="inner steps (default: the algorithm's own)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--backbone",
        metavar="NAME",
        help=(
            "of torchcross.backbones, or an address such as timm:NAME, with random values (default:"
            " a conv4 of 8 channels)"
        ),
    )
    which.add_argument(
        "--module",
        metavar="PACKAGE:CALLABLE",
        help="makes the backbone, or the algorithm, when called without arguments",
    )
    parser.add_argument(
        "--directions", type=int, default=2, metavar="N", help="for each episode (default: 2)"
    )


def run(options: argparse.Namespace) -> int:
    from torchcross.algorithms import certify

    certificate = certify(_subject(options), directions=options.directions)
    sys.stdout.write(f"{certificate}\n")
    return _HOLDS if certificate.holds else _DOES_NOT


def _subject(options: argparse.Namespace) -> Algorithm | Pretraining:
    from torchcross.algorithms import Algorithm, Pretraining

    settings = {
        name: getattr(options, name)
        for name in ("engine", "steps")
        if getattr(options, name) is not None
    }
    made = module_at(options.module) if options.module is not None else _backbone(options.backbone)
    if isinstance(made, Algorithm | Pretraining):
        named = [
            f"--{name}" for name in ("algorithm", *settings) if getattr(options, name) is not None
        ]
        if named:
            raise InputError(
                f"--module {options.module} makes an algorithm already; leave out"
                f" {', '.join(named)}"
            )
        return made
    constructors = _algorithms()
    chosen = options.algorithm or "maml"
    construct = constructors.get(_plain(chosen))
    if construct is None:
        raise InputError(unknown_name("algorithm", chosen, constructors))
    if "engine" in settings:
        _check_engine(settings["engine"])
    strange = [name for name in settings if name not in inspect.signature(construct).parameters]
    if strange:
        raise InputError(f"{construct.__name__} takes no --{strange[0]}; leave it out")
    return construct(made, **settings)


def _algorithms() -> dict[str, type[Algorithm]]:
    from torchcross import algorithms

    members = [getattr(algorithms, name) for name in algorithms.__all__]
    return {
        _plain(kind.__name__): kind
        for kind in members
        if inspect.isclass(kind)
        and issubclass(kind, algorithms.Algorithm)
        and not inspect.isabstract(kind)
    }


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _check_engine(name: str) -> None:
    from torchcross.functional import ENGINES

    if name not in ENGINES:
        raise InputError(unknown_name("engine", name, ENGINES))


def _backbone(name: str | None) -> nn.Module:
    from torchcross import backbones
    from torchcross.backbones.addresses import is_address

    if name is None:
        return backbones.conv4(8, in_channels=1)
    if is_address(name):
        return backbones.from_address(name, pretrained=False)
    # Those that can be made of nothing but a name.
    known = {
        one: make
        for one in backbones.__all__
        if inspect.isfunction(make := getattr(backbones, one))
        and all(
            part.default is not part.empty for part in inspect.signature(make).parameters.values()
        )
    }
    if name not in known:
        raise InputError(unknown_name("backbone", name, known))
    made: nn.Module = known[name]()
    return made

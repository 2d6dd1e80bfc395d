"""A group of commands under one name: finding the one that is meant, and ending well."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError

__all__ = [
    "BROKEN_PIPE",
    "INTERRUPTED",
    "REFUSED",
    "Command",
    "Group",
    "Parser",
    "run_group",
]

REFUSED = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
"""As a shell tells the signals SIGINT and SIGPIPE: 128 and their number."""


class Parser(argparse.ArgumentParser):
    """Errors become the library's, so that all are told in one way."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


@dataclass(frozen=True)
class Command:
    """A module with `arguments(parser)` and `run(options) -> exit status`, and what it is for in a
    few words.
    """

    module: str
    purpose: str


@dataclass(frozen=True)
class Group:
    name: str
    description: str
    commands: Mapping[str, Command]


def run_group(group: Group, arguments: Sequence[str], program: str = "torchcross") -> int:
    """Runs the command that the arguments name. An interrupt, or a reader that went away, leaves no
    traceback.
    """
    try:
        status = dispatch(group, list(arguments), program)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        _write_nowhere()
        return BROKEN_PIPE
    return status


def dispatch(group: Group, given: list[str], program: str) -> int:
    """The command of a group, without the guards."""
    program = f"{program} {group.name}"
    if not given or given[0] in ("-h", "--help"):
        stream = sys.stdout if given else sys.stderr
        stream.write(_help(group, program))
        return 0 if given else REFUSED
    name, *rest = given
    if name not in group.commands:
        raise InputError(unknown_name(f"command of {program}", name, group.commands))
    command = group.commands[name]
    module = import_module(command.module)
    if hasattr(module, "GROUP"):
        return dispatch(module.GROUP, rest, program)
    parser = Parser(
        prog=f"{program} {name}",
        description=module.__doc__,
        epilog=_example(module),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.arguments(parser)
    try:
        options = parser.parse_args(rest)
    except SystemExit as end:  # --help
        return end.code if isinstance(end.code, int) else 0
    run: Callable[[argparse.Namespace], int] = module.run
    return run(options)


def _example(module: ModuleType) -> str | None:
    text = getattr(module, "EXAMPLE", None)
    return None if text is None else f"for example:\n  {text}"


def _help(group: Group, program: str) -> str:
    lines = [f"  {name:<12} {command.purpose}" for name, command in group.commands.items()]
    more = f"{program} <command> --help tells more."
    return "\n".join(
        [f"usage: {program} <command> ...", "", group.description, "", *lines, "", more, ""]
    )


def _write_nowhere() -> None:
    """What is still to be flushed at the end of the process would only meet the closed pipe
    again.
    """
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        # A standard output without a file of its own has nothing to flush there.
        return

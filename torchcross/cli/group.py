"""Groups of commands: which one the arguments name, its options and its help.

A command is a module with `arguments(parser)` and `run(options) -> exit status`; its docstring is
the help, EXAMPLE stands under it. The module of a group of commands has a GROUP instead.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint
from textwrap import fill
from types import ModuleType
from typing import NoReturn

from torchcross._kit.installed_packages import load_entry_point
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError

_WIDEST_HELP = 100
_UNKNOWN_OPTIONS = "unrecognized arguments: "
"""How argparse begins its sentence on them."""
REFUSED = 2
"""The exit status where the arguments, or what they name, cannot be used."""


class InterruptWithAdvice(KeyboardInterrupt):
    """Ctrl-C in a command that says what stays and how to go on. It is no error."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the library's, so that all errors look the same.

    option_names  names that its options take, by title: they stand in the help, and are asked for
                  then alone, since they need all that is imported for the command's work
    """

    option_names: Callable[[], Mapping[str, Sequence[str]]] | None = None

    def format_help(self) -> str:
        names = {} if self.option_names is None else self.option_names()
        lists = (f"\n{_list_of_names(title, each)}\n" for title, each in names.items())
        return super().format_help() + "".join(lists)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}{self._nearest_options(message)}; see {self.prog} --help")

    def _nearest_options(self, message: str) -> str:
        """The options that are meant by those that are unknown."""
        _, begins, unknown = message.partition(_UNKNOWN_OPTIONS)
        texts = [text.partition("=")[0] for text in unknown.split()] if begins else []
        options = [text for text in texts if text.startswith("--")]
        meant = [
            near
            for option in options
            for near in get_close_matches(option, self._option_string_actions, n=1)
        ]
        return f"; did you mean {' and '.join(meant)}?" if meant else ""


@dataclass(frozen=True)
class Command:
    """A module of this package, imported when the command runs, and its purpose in a few words."""

    module: str
    purpose: str


@dataclass(frozen=True)
class ForeignCommand:
    """A command of another package: a function of the arguments that returns the exit status.

    The first line of its docstring says in the help what it is for.
    """

    name: str
    entry_point: EntryPoint

    @property
    def purpose(self) -> str:
        try:
            docstring = self._load().__doc__ or ""
        except InputError:
            return f"cannot be loaded from {self.entry_point.value}"
        summary = docstring.strip().partition("\n")[0].rstrip(".")
        if not summary:
            return f"from {self.entry_point.value.partition(':')[0]}"
        return summary[:1].lower() + summary[1:]

    def run(self, arguments: list[str]) -> int:
        return self._load()(arguments)

    def _load(self) -> Callable[[list[str]], int]:
        function: Callable[[list[str]], int] = load_entry_point(self.entry_point, "command")
        return function


@dataclass(frozen=True)
class Group:
    description: str
    commands: Mapping[str, Command | ForeignCommand]


def run_group(group: Group, arguments: Sequence[str], program: str) -> int:
    """Run the command that the arguments name and return its exit status.

    `program` is what the user writes before the arguments: "torchcross data".
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        stream = sys.stdout if arguments else sys.stderr
        stream.write(_help(group, program))
        return 0 if arguments else REFUSED
    name, *rest = arguments
    if name not in group.commands:
        raise InputError(unknown_name(f"command of {program}", name, group.commands))
    command = group.commands[name]
    if isinstance(command, ForeignCommand):
        return command.run(rest)
    module = import_module(command.module)
    if hasattr(module, "GROUP"):
        return run_group(module.GROUP, rest, f"{program} {name}")
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
    example: str | None = getattr(module, "EXAMPLE", None)
    if example is None:
        return None
    return "\n  ".join(["for example:", *example.splitlines()])


def _list_of_names(title: str, names: Iterable[str]) -> str:
    """A paragraph of names, of which none is broken at the end of a line."""
    width = min(shutil.get_terminal_size().columns, _WIDEST_HELP) - 2
    return fill(
        f"{title}: {', '.join(names)}",
        width,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _help(group: Group, program: str) -> str:
    lines = [f"  {name:<12} {command.purpose}" for name, command in group.commands.items()]
    return (
        f"usage: {program} <command> ...\n\n{group.description}\n\n"
        + "\n".join(lines)
        + f"\n\n{program} <command> --help says more about a command.\n"
    )

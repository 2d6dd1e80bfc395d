"""The command line: arguments to calls, nothing else. What is slow is imported by the command that
needs it.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NoReturn

from torchcross._kit.suggestions import unknown_name
from torchcross.cli import certify, runs
from torchcross.errors import InputError, TorchcrossError

__all__ = ["main"]

_GROUP = "torchcross.commands"
"""Entry points of other packages: a name, and a function of the arguments after it that returns the
exit status.
"""

_OWN = ("certify", "run", "report", "compare")
_REFUSED, _INTERRUPTED, _UNHEARD, _TERMINATED = 2, 130, 141, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 it holds, 1 it does not, 2 the arguments or what they name
    cannot be used, 130 it was interrupted, 141 nobody reads what it says, 143 (as SystemExit) it
    was terminated.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _never_fail_to_encode()
    try:
        try:
            return _done(given)
        finally:
            # Here and not when the interpreter ends, where nobody could tell of it.
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return _UNHEARD
    except OSError as error:
        _forget_output()
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"torchcross: error: {where}{error.strerror or error}\n")
        return _REFUSED


def _done(given: list[str]) -> int:
    try:
        return _dispatch(given)
    except TorchcrossError as error:
        sys.stderr.write(f"torchcross: error: {error}\n")
        return _REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("torchcross: interrupted; run the same command again to go on\n")
        return _INTERRUPTED
    except SystemExit as ended:
        if ended.code == _TERMINATED:
            sys.stderr.write("torchcross: terminated; run the same command again to go on\n")
        raise


def _never_fail_to_encode() -> None:
    """A terminal without a character gets its code instead of an error after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _forget_output() -> None:
    """What is still to be written would fail again when the interpreter ends."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), descriptor)


def _dispatch(given: list[str]) -> int:
    command = given[0] if given else ""
    if command and not command.startswith("-") and command not in _OWN:
        return _of_another_package(command, given[1:])
    parser = _parser()
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help(sys.stderr)
        return _REFUSED
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


class _Parser(argparse.ArgumentParser):
    """Errors become ours, so that all are told in one way."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    others = [
        f"  {name:<12} from {point.value.partition(':')[0]}"
        for name, point in sorted(_others().items())
    ]
    parser = _Parser(
        prog="torchcross",
        description="Cross-domain few-shot learning.",
        epilog="\n".join(["commands of other packages:", *others]) if others else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="command")
    certify.add(commands)
    runs.add(commands)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from torchcross import __version__

        sys.stdout.write(f"torchcross {__version__}\n")
        parser.exit(0)


def _of_another_package(command: str, rest: list[str]) -> int:
    others = _others()
    point = others.get(command)
    if point is None:
        raise InputError(unknown_name("command", command, [*_OWN, *others]))
    try:
        run = point.load()
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the command {command!r} is {point.value}, which cannot be loaded: {error}"
        ) from error
    status: int = run(rest)
    return status


def _others() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_GROUP) if point.name not in _OWN}

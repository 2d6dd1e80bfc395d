"""The command line: arguments to calls, nothing else. A command imports what it needs."""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

from torchcross._kit.lost_readers import write_line
from torchcross.cli.group import (
    REFUSED,
    Command,
    ForeignCommand,
    Group,
    InterruptWithAdvice,
    run_group,
)
from torchcross.errors import TorchcrossError, TorchcrossWarning
from torchcross.messages import printable

_ENTRY_POINTS = "torchcross.commands"
"""Commands of other packages: names, and functions of the arguments that return exit statuses."""

_COMMANDS = {
    "run": Command("torchcross.cli.run", "train, adapt and score: from images to a table"),
    "tune": Command(
        "torchcross.cli.tune", "search for the settings of each row, on the sources alone"
    ),
    "features": Command(
        "torchcross.cli.features", "embed the images of datasets once, for any number of runs"
    ),
    "report": Command(
        "torchcross.cli.report", "the page and tables of a run, or of a published table of means"
    ),
    "compare": Command("torchcross.cli.compare", "one page over several runs"),
    "plan": Command("torchcross.cli.plan", "what a run would have to do, and how long it takes"),
    "predict": Command("torchcross.cli.predict", "a row of a run predicts your own images"),
    "transfer": Command("torchcross.cli.transfer", "which source helps which target: studies"),
    "status": Command("torchcross.cli.status", "how far a run is: done, running, failed, left"),
    "verify": Command("torchcross.cli.verify", "is every file of a run there, and undamaged?"),
    "certify": Command(
        "torchcross.cli.certify", "check a gradient against finite differences and a closed form"
    ),
    "export": Command("torchcross.cli.export", "write a predictor as ONNX or torch.export"),
}

_GO_ON = (("run",), ("tune",), ("features",), ("transfer", "run"), ("transfer", "rank"))
"""Commands that go on where they stopped; others have options for that, or start again."""

# As a shell reports signals: 128 and the signal's number. 130 is SIGINT, 141 is SIGPIPE.
_INTERRUPTED, _BROKEN_PIPE = 130, 141
_TERMINATED = {
    128 + getattr(signal, name): name
    for name in ("SIGHUP", "SIGUSR1", "SIGTERM")
    if hasattr(signal, name)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: it is done, and what was checked holds; 1: it does not hold; 2: the arguments, or what they
    name, cannot be used; 130: interrupted; 141: nobody reads the output. A command that a signal
    terminates raises SystemExit with 128 and the number of the signal.

    >>> from torchcross.cli import main
    >>> main(["weights", "list"])  # doctest: +ELLIPSIS
    name                backbone            package ...
    mobilenet_v2        mobilenet_v2        ...
    0
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    _replace_unknown_characters()
    try:
        try:
            with _warnings_without_code():
                return _run_command(arguments)
        finally:
            # Here and not when the interpreter ends: an error there could not be reported.
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return _BROKEN_PIPE
    except OSError as error:
        _discard_output()
        where = f"{error.filename}: " if error.filename else ""
        text = f"torchcross: error: {printable(where)}{error.strerror or error}"
        write_line(sys.stderr, text)
        return REFUSED


def _run_command(arguments: list[str]) -> int:
    goes_on = any(arguments[: len(words)] == [*words] for words in _GO_ON)
    advice = "; run the same command again to go on" if goes_on else ""
    try:
        return _dispatch(arguments)
    except TorchcrossError as error:
        write_line(sys.stderr, f"torchcross: error: {error}")
        return REFUSED
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, InterruptWithAdvice):
            advice = f"; {interrupt}"
        write_line(sys.stderr, f"torchcross: interrupted{printable(advice)}")
        return _INTERRUPTED
    except SystemExit as end:
        if name := _TERMINATED.get(end.code):
            write_line(sys.stderr, f"torchcross: terminated by {name}{advice}")
        raise


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["--version"]:
        from torchcross import __version__

        sys.stdout.write(f"torchcross {__version__}\n")
        return 0
    commands: dict[str, Command | ForeignCommand] = {**_COMMANDS}
    for point in sorted(entry_points(group=_ENTRY_POINTS), key=lambda point: point.name):
        commands.setdefault(point.name, ForeignCommand(point.name, point))
    group = Group("Cross-domain few-shot learning.", commands)
    return run_group(group, arguments, "torchcross")


def _open_closed_streams() -> None:
    """Give a process that was started without standard streams some that lead nowhere.

    Else the first file that it opens has the number of standard error, and gets all errors.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()


def _replace_unknown_characters() -> None:
    """Let a terminal without a character show its code instead of failing after the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _warnings_without_code() -> Iterator[None]:
    """Let a warning of the library be a line that says what it says, without a line of code."""
    usual = warnings.formatwarning

    def format_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if issubclass(category, TorchcrossWarning):
            return f"torchcross: warning: {printable(str(message))}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = format_warning
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _discard_output() -> None:
    """Send unwritten output nowhere: it would fail again when the interpreter ends."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), descriptor)

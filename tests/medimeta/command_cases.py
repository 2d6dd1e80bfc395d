"""Commands as a user runs them: what they print, write and return."""

import sys
from pathlib import Path

from torchcross import cli

PROGRAM = [sys.executable, "-m", "torchcross"]
ROOT = Path(__file__).parents[2]


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def refused(capsys, *arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("torchcross: error: ")
    return err.removeprefix("torchcross: error: ")

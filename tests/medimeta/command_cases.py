"""Commands as a user runs them: what they print, write and return."""

import sys
from pathlib import Path

from tests import command_line

PROGRAM = [sys.executable, "-m", "torchcross"]
ROOT = Path(__file__).parents[2]


def refused(capsys, *arguments):
    return command_line.refused(capsys, *arguments).removeprefix("torchcross: error: ")

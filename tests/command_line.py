"""Commands as a user gives them, in this process."""

from __future__ import annotations

import pytest

from torchcross import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit status, and what was written to standard output and to standard error."""
    status = cli.main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command says that is refused."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("torchcross: error: ")
    return err

"""The command line, `torchcross`."""

from __future__ import annotations

from torchcross.cli.entry import main

__all__ = ["main"]

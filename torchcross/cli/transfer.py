"""`torchcross transfer ...`: the list of its commands."""

from __future__ import annotations

from torchcross.cli.group import Command, Group

GROUP = Group(
    "Which source helps which target: studies of every source on every target.",
    {
        "run": Command("torchcross.cli.transfer_run", "make a study, or go on with it"),
    },
)

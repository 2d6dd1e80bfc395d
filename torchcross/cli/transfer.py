"""`torchcross transfer ...`: the list of its commands."""

from __future__ import annotations

from torchcross.cli.group import Command, Group

GROUP = Group(
    "Which source helps which target: studies of every source on every target.",
    {
        "rank": Command("torchcross.cli.transfer_rank", "which source, before any training"),
        "report": Command("torchcross.cli.transfer_report", "write the page of a study or a table"),
        "run": Command("torchcross.cli.transfer_run", "make a study, or go on with it"),
    },
)

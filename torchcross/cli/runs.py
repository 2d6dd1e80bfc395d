"""`torchcross run`, `report` and `compare`: experiments from the command line."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchcross.errors import InputError

if TYPE_CHECKING:
    from torchcross.experiment import Experiment

__all__ = ["add"]

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


def add(commands: Any) -> None:
    _add_run(commands)
    report = commands.add_parser(
        "report",
        help="the page and tables of a run, again, or of a published table of means",
        description=(
            "Write report.html, table.md, table.tex and table.csv of a run from its rows; nothing"
            " is run. A CSV file is a published table of means: algorithms in the header, a target"
            ' and its means in each row; a first column called "domain" names the domains.'
        ),
        epilog=(
            "for example:\n  torchcross report runs/demo --metric accuracy\n"
            "  torchcross report table4.csv --metric auroc --related organs_axial,organs_coronal"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    report.add_argument(
        "source", type=Path, metavar="FOLDER|TABLE.csv", help="of a run, or a table of means"
    )
    report.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="default: the run's; reports/ and the table's name",
    )
    report.add_argument("--title", help="of the page")
    report.add_argument(
        "--metric",
        metavar="NAME",
        help=(
            "that leads the tables (default: the run's); of a table of means: what its numbers are."
            " For mae the smaller value is the better"
        ),
    )
    report.add_argument(
        "--related",
        action="append",
        metavar="A,B",
        help="targets of a table that share subjects; again for others",
    )
    report.set_defaults(run=_report)
    compare = commands.add_parser(
        "compare",
        help="one page over several runs",
        description="One page and its tables over the rows of several runs.",
        allow_abbrev=False,
    )
    compare.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of the runs")
    compare.add_argument(
        "--out", type=Path, default=Path("compared"), help="for the page (default: compared)"
    )
    compare.add_argument(
        "--metric", metavar="NAME", help="that leads the tables (default: that of all runs)"
    )
    compare.set_defaults(run=_compare)


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="train, adapt and score: from folders of images to a table",
        description=(
            "Leave one domain out: train on the others, adapt to its episodes, write rows, tables"
            " and a page. What was interrupted goes on when the command is given again. Exit status"
            " 1 where something failed."
        ),
        epilog=(
            "for example:\n  torchcross run experiment.toml\n  torchcross run --data data/MedIMeta"
            " --targets oct,derm --algorithms mm-pt,protonet --shots 1,5"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    run.add_argument("config", type=Path, nargs="?", help="a TOML file; flags win over it")
    run.add_argument(
        "--out",
        type=Path,
        help=(
            "the run's folder (default: runs/ and the name of the TOML file, else of the preset and"
            " a few digits that are the same for the same experiment)"
        ),
    )
    run.add_argument(
        "--settings",
        action="store_true",
        help="list every setting with its default, and run nothing",
    )
    run.add_argument("--preset", metavar="NAME", help="of the protocol (default: medimeta-table4)")
    run.add_argument("--data", metavar="FOLDER", help="with the datasets")
    run.add_argument("--format", metavar="NAME", help="of the datasets (default: medimeta)")
    run.add_argument(
        "--targets", metavar="A,B", help="what is left out and scored (default: every dataset)"
    )
    run.add_argument("--algorithms", metavar="A,B", help="rows of the table")
    run.add_argument("--shots", metavar="K,L", help="per class")
    run.add_argument("--seeds", metavar="I,J", help="of training")
    run.add_argument("--episodes", type=int, metavar="N", help="per target and number of shots")
    run.add_argument("--backbone", metavar="NAME", help="of torchcross.backbones")
    run.add_argument("--weights", metavar="FILE", help="for the backbone")
    run.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU where there is one)"
    )
    run.add_argument("--channels", type=int, choices=[1, 3])
    run.add_argument("--source-tasks", choices=["primary", "all"])
    run.add_argument("--adaptation", choices=["fine-tune", "own"])
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting, such as meta.steps=500",
    )
    run.add_argument("--quiet", action="store_true", help="say nothing until the end")
    run.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
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


def _report(options: argparse.Namespace) -> int:
    from torchcross.experiment import write_page
    from torchcross.experiment.page.pages import write_means_page

    source: Path = options.source
    if source.is_dir() or (source.suffix.lower() != ".csv" and not source.is_file()):
        if options.related is not None:
            raise InputError(
                f"--related describes a table of means, and {source} is a run's folder"
            )
        written = write_page(source, title=options.title, out=options.out, metric=options.metric)
    else:
        related = [_names(text) for text in options.related or ()]
        out = options.out or Path("reports", source.stem)
        written = write_means_page(
            source, out, title=options.title, metric=options.metric or "", related=related
        )
    sys.stdout.write(f"{written}\n")
    return _COMPLETE


def _compare(options: argparse.Namespace) -> int:
    from torchcross.experiment import compared

    sys.stdout.write(f"{compared(options.folders, options.out, metric=options.metric)}\n")
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
            parts = _names(text)
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


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


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

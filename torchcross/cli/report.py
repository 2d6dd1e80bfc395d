"""Write report.html, table.md, table.tex and table.csv of a run from its rows, without running.

A CSV file is a published table of means: algorithms in the header, a target and its means in each
row; a first column called "domain" names the domains.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torchcross._kit.plugin_files import load_plugins
from torchcross.cli.group import Parser
from torchcross.cli.options import add_plugin_flag, add_uncertainty, names_in
from torchcross.errors import InputError
from torchcross.messages import printable

EXAMPLE = """\
torchcross report runs/demo --metric accuracy
torchcross report runs/old --data data/medimeta
torchcross report table4.csv --metric auroc --related organs_axial,organs_coronal"""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="FOLDER|TABLE.csv", help="folder of a run, or a table of means"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder for the page (default: the run's; for a table, reports/ and its name)",
    )
    parser.add_argument("--title", help="title of the page")
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help=(
            "metric that leads the tables (default: the run's); for a table of means, the metric of"
            " its numbers: with mae, smaller values are better"
        ),
    )
    parser.add_argument(
        "--margin",
        type=float,
        metavar="D",
        help=(
            "difference that is too small to matter, in the unit of the metric (default: the run's;"
            " for a table of means, none): the page says how likely equivalence is"
        ),
    )
    add_uncertainty(parser)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help=(
            "folder of a run's data: the plans of its episodes are drawn again where the run has"
            " none, and count where its rows were scored on these very episodes"
        ),
    )
    parser.add_argument(
        "--pictures",
        choices=("leader", "all", "none"),
        help=(
            "of which rows of a run the images of the best, median and worst episodes are shown:"
            " of the first of the leaderboard (default), of all (2 MB each at most), or of none;"
            " they are read from --data, or where the experiment says that the data are"
        ),
    )
    parser.add_argument(
        "--times",
        action="store_true",
        default=None,
        help=(
            "say when a run was made, on what hardware, and how long each row took"
            " (environment.json)"
        ),
    )
    parser.add_argument(
        "--related",
        action="append",
        metavar="A,B",
        help="targets of a table that share subjects; may be repeated",
    )
    add_plugin_flag(parser)


def run(options: argparse.Namespace) -> int:
    load_plugins(options.plugin or ())
    from torchcross.experiment import write_page
    from torchcross.experiment.page.means_page import write_means_page

    source: Path = options.source
    if source.is_dir() or (source.suffix.lower() != ".csv" and not source.is_file()):
        if options.related is not None:
            raise InputError(
                f"--related describes a table of means, and {source} is a run's folder"
            )
        page = write_page(
            source,
            title=options.title,
            out=options.out,
            metric=options.metric,
            margin=options.margin,
            uncertainty=options.uncertainty,
            data=options.data,
            times=bool(options.times),
            pictures=options.pictures or "leader",
        )
    else:
        for name in ("uncertainty", "data", "pictures", "times"):
            if getattr(options, name) is not None:
                raise InputError(
                    f"--{name} is about what a run did, of which {source}, a table of means, says"
                    " nothing; leave it out"
                )
        related = [names_in(text) for text in options.related or ()]
        out = options.out or Path("reports", source.stem)
        page = write_means_page(
            source,
            out,
            title=options.title,
            metric=options.metric or "",
            related=related,
            margin=options.margin,
        )
    sys.stdout.write(f"{printable(str(page))}\n")
    return 0

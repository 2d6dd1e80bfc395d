"""Write the page of a study, or of a table of published results: matrix, rankings, each target.

A table has the columns source, target, fold and seed where there are any, and one of values; or
it is a matrix, with sources in its first column and targets in its header.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from torchcross.cli.group import Parser
from torchcross.errors import InputError
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.transfer.page import StudyContents

EXAMPLE = """\
torchcross transfer report studies/open --baseline imagenet
torchcross transfer report published.csv --baseline scratch --largest imagenet
torchcross transfer report published.csv --distances distances.csv --notes notes.txt"""

_PAIRS = "CSV of source, target, draw where there are several, and a column for each"


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "source",
        type=Path,
        metavar="FOLDER|TABLE.csv",
        help="folder of a study, or a table of results",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder for the page (default: the study's; for a table, reports/ and its name)",
    )
    parser.add_argument("--title", help="title of the page")
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help=(
            "metric of a study that leads its page, or what the values of a table are; larger is"
            " better (default: the study's; the name of the column)"
        ),
    )
    parser.add_argument(
        "--baseline",
        metavar="SOURCE",
        help=(
            "what gains are over: a source, self for the source that is the target, or none"
            " (default: the source scratch where there is one; none of a metric that may be below"
            " 0, such as qwk)"
        ),
    )
    parser.add_argument(
        "--largest",
        metavar="SOURCE",
        help="the largest source of a table: a rule always takes it (a study knows its sources)",
    )
    for name, words in (("distances", "distance (small is close)"), ("scores", "score")):
        parser.add_argument(
            f"--{name}",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help=f"{_PAIRS} {words}; may be repeated",
        )
    parser.add_argument(
        "--votes",
        type=Path,
        metavar="FILE",
        help="CSV of what observers say of datasets: dataset, question, answer, votes",
    )
    parser.add_argument(
        "--notes",
        type=Path,
        metavar="FILE",
        help=(
            "text that the page shows: paragraphs with blank lines between them; a heading begins"
            ' with "# ", an item of a list with "- "'
        ),
    )


def run(options: argparse.Namespace) -> int:
    from torchcross.transfer.page import STUDY_PAGE, write_study_page
    from torchcross.transfer.published import with_tables

    contents = _contents(options)
    contents = with_tables(
        contents,
        distances=options.distances,
        scores=options.scores,
        votes=options.votes,
        notes=options.notes,
    )
    out = options.out or _usual_folder(options.source)
    out.mkdir(parents=True, exist_ok=True)
    answer = write_study_page(contents, out / STUDY_PAGE)
    sys.stdout.write(f"{printable(answer)}\n{printable(str(out / STUDY_PAGE))}\n")
    return 0


def _contents(options: argparse.Namespace) -> StudyContents:
    from torchcross.transfer.published import published_contents
    from torchcross.transfer.studies import StudyFolder, study_contents

    parts = {"title": options.title, "metric": options.metric, "baseline": options.baseline}
    if not options.source.is_dir():
        return published_contents(options.source, largest=options.largest, **parts)
    if options.largest is not None:
        raise InputError(
            f"{options.source} is the folder of a study, which knows how large its sources are;"
            " leave --largest out"
        )
    return study_contents(StudyFolder.open(options.source), **parts)


def _usual_folder(source: Path) -> Path:
    return source if source.is_dir() else Path("reports", source.stem)

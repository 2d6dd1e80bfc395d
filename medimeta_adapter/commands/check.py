"""Check datasets: errors, leaks between splits, and how many shots each class allows.

Reads info.yaml, splits, labels and annotations of every dataset, and every image once. Changes
nothing. The exit status is 1 if there are errors.
"""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.output import say, write
from torchcross._kit.progress import ProgressBars
from torchcross.cli.group import Parser

_NEVER = "never"


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "folder", help="a folder of datasets, or one dataset's folder (with info.yaml)"
    )
    parser.add_argument("--no-pixels", action="store_true", help="do not read the images")
    parser.add_argument("--no-near-duplicates", action="store_true", help="find equal images only")
    parser.add_argument(
        "--shots",
        type=int,
        default=5,
        metavar="K",
        help="report classes with fewer than K shots (default: 5)",
    )
    parser.add_argument(
        "--queries", type=int, default=10, metavar="Q", help="queries per class (default: 10)"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="threads (default: one per core, 4 at most)"
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="follow links that leave the folder"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--fail-on",
        choices=["error", "warning", "note", _NEVER],
        default="error",
        help="exit status 1 from this severity on (default: error)",
    )


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.audit import Severity, check
    from medimeta_adapter.audit.render import render_report

    with ProgressBars() as progress:
        report = check(
            options.folder,
            pixels=not options.no_pixels,
            near_duplicates=not options.no_near_duplicates,
            shots=options.shots,
            queries=options.queries,
            progress=progress,
            workers=options.workers,
            follow_links=options.follow_links,
        )
    if options.json:
        write(report.to_json())
    else:
        say(render_report(report))
    passes = options.fail_on == _NEVER or report.holds(Severity(options.fail_on))
    return 0 if passes else 1

"""What is there, what is wrong with it, what it allows and what leaks. Exit status 1 where errors
are found.

Read: info.yaml, splits, labels and annotations of every dataset, and every image once. Nothing is
changed.
"""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.output import say, write
from torchcross._kit.progress import ProgressBars
from torchcross.cli.group import Parser

__all__ = ["arguments", "run"]

_NEVER = "never"


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "folder", help="a folder of datasets, or one dataset's folder (with info.yaml)"
    )
    parser.add_argument("--no-pixels", action="store_true", help="do not read the images")
    parser.add_argument(
        "--no-near-duplicates", action="store_true", help="look for equal images only"
    )
    parser.add_argument(
        "--shots",
        type=int,
        default=5,
        metavar="K",
        help="name classes that cannot give K (default: 5)",
    )
    parser.add_argument(
        "--queries", type=int, default=10, metavar="Q", help="queries per class (default: 10)"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="threads (default: one per core, 4 at most)"
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="read what links lead to outside the folder"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--fail-on",
        choices=["error", "warning", "note", _NEVER],
        default="error",
        help="the least severe finding that makes the exit status 1 (default: error)",
    )


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.audit import Severity, check
    from medimeta_adapter.audit.render import rendered

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
        say(rendered(report))
    holds = options.fail_on == _NEVER or report.holds(Severity(options.fail_on))
    return 0 if holds else 1

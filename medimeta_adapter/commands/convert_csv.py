"""A table with a header, and image files: paths, labels, subjects and splits by column."""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.convert_options import (
    about,
    about_arguments,
    classes_of,
    converted,
    how_arguments,
    options_of,
)
from torchcross.cli.group import Parser

__all__ = ["EXAMPLE", "arguments", "run"]

EXAMPLE = (
    "torchcross data convert csv table.csv --path file --task grade ordinal dr_grade --labels grade"
    ' none,mild,severe --subject patient --split fold --out data/mine --id mine --domain "Fundus"'
)


def arguments(parser: Parser) -> None:
    parser.add_argument("table", help="a CSV file, UTF-8")
    parser.add_argument(
        "--task",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "KIND", "COLUMNS"),
        help=(
            "kind: binary, multiclass, multilabel or ordinal; multilabel: columns of 0 and 1"
            " between commas, or one column of names; once for every task, the primary one first"
        ),
    )
    parser.add_argument(
        "--labels",
        nargs=2,
        action="append",
        metavar=("TASK", "A,B,..."),
        help="names of its labels",
    )
    parser.add_argument(
        "--separator", default="|", help="between names in one column of multilabel (default: |)"
    )
    parser.add_argument(
        "--path", default="path", metavar="COLUMN", help="of image paths (default: path)"
    )
    parser.add_argument(
        "--root", metavar="FOLDER", help="what paths are relative to (default: the table's folder)"
    )
    parser.add_argument("--subject", metavar="COLUMN", help="who an image is of")
    parser.add_argument("--split", metavar="COLUMN", help="train, val or test, as they are to be")
    parser.add_argument("--original-split", metavar="COLUMN", help="the same, as they were")
    parser.add_argument("--delimiter", default=",", help="one character; a tab is \\t (default: ,)")
    about_arguments(parser)
    how_arguments(parser)


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import CsvTask, csv_images

    names = classes_of(options, [task for task, _, _ in options.task])
    tasks = [
        CsvTask(
            task,
            kind,
            columns.split(",") if "," in columns else columns,
            names[task],
            options.separator,
        )
        for task, kind, columns in options.task
    ]
    return converted(
        options,
        csv_images,
        options.table,
        options.out,
        about(options),
        tasks,
        path=options.path,
        root=options.root,
        subject=options.subject,
        split=options.split,
        original_split=options.original_split,
        delimiter=options.delimiter,
        options=options_of(options),
    )

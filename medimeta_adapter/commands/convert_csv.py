"""Convert a table with a header and image files: paths, labels, subjects, splits by column."""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.convert_options import (
    conversion_options,
    dataset_arguments,
    dataset_description,
    image_arguments,
    run_conversion,
    task_class_names,
)
from torchcross.cli.group import Parser

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
            "kind: binary, multiclass, multilabel or ordinal; multilabel: columns of 0 and 1,"
            " separated by commas, or one column of names; repeat it for every task, the primary"
            " task first"
        ),
    )
    parser.add_argument(
        "--labels",
        nargs=2,
        action="append",
        metavar=("TASK", "A,B,..."),
        help="names of the task's labels",
    )
    parser.add_argument(
        "--separator", default="|", help="between the names in a multilabel column (default: |)"
    )
    parser.add_argument(
        "--path", default="path", metavar="COLUMN", help="the column of image paths (default: path)"
    )
    parser.add_argument(
        "--root",
        metavar="FOLDER",
        help="the folder of relative paths (default: the table's folder)",
    )
    parser.add_argument("--subject", metavar="COLUMN", help="the column of subjects")
    parser.add_argument("--split", metavar="COLUMN", help="the split to write: train, val or test")
    parser.add_argument("--original-split", metavar="COLUMN", help="the column of original splits")
    parser.add_argument("--delimiter", default=",", help="one character; a tab is \\t (default: ,)")
    parser.add_argument(
        "--missing",
        choices=["refuse", "drop", "keep"],
        default="refuse",
        help="what happens to rows without a label (an empty cell, NaN, None, NA, n/a, null): an"
        " error lists their lines (refuse), they are"
        " left out and named in left_out.csv (drop), or their images stay with an unknown label,"
        " and unlabelled.csv names them (keep) (default: refuse)",
    )
    dataset_arguments(parser)
    image_arguments(parser, are_files=True)


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import CsvTask, csv_images

    names = task_class_names(options, [task for task, _, _ in options.task])
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
    return run_conversion(
        options,
        csv_images,
        options.table,
        options.out,
        dataset_description(options),
        tasks,
        path=options.path,
        root=options.root,
        subject=options.subject,
        split=options.split,
        original_split=options.original_split,
        delimiter=options.delimiter,
        missing=options.missing,
        options=conversion_options(options),
    )

"""What is there: datasets and their tasks; with --lodo, what may be trained on when one of them is
the target.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

from rich.markup import escape

from medimeta_adapter.commands.output import say, table, write
from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.format.info import DatasetInfo
from medimeta_adapter.leave_out.domains import By
from medimeta_adapter.leave_out.meta_dataset import MedIMeta
from torchcross.cli.group import Parser
from torchcross.errors import InputError, TorchcrossWarning

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "folder", help="a folder of datasets, or one dataset's folder (with info.yaml)"
    )
    parser.add_argument(
        "--lodo", metavar="TARGET", help="leave this dataset out, and what overlaps with it"
    )
    parser.add_argument(
        "--task", metavar="NAME", help="with --lodo: the target's task (default: its first)"
    )
    parser.add_argument(
        "--all-tasks", action="store_true", help="with --lodo: every task of each source"
    )
    parser.add_argument(
        "--by",
        choices=["dataset", "domain"],
        help="with --lodo: what is left out (default: dataset)",
    )
    parser.add_argument(
        "--why", action="store_true", help="with --lodo: why each dataset is in or out"
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="read what links lead to outside the folder"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    if options.lodo is None:
        given = {
            "--task": options.task,
            "--by": options.by,
            "--all-tasks": options.all_tasks,
            "--why": options.why,
        }
        if alone := [name for name, value in given.items() if value]:
            raise InputError(f"{alone[0]} needs --lodo TARGET")
    if options.lodo is not None:
        return _left_out(MedIMeta(options.folder, follow_links=options.follow_links), options)
    infos = _infos(options)
    if options.json:
        write(json.dumps([_plain(info) for info in infos], indent=2) + "\n")
        return 0
    numbers = ("images", "train", "val", "test", "labels")
    made = table(
        "",
        "dataset",
        "domain",
        "size",
        *numbers[:4],
        "task",
        "kind",
        "labels",
        right=("size", *numbers),
    )
    for info in infos:
        counts = info.splits_num_samples
        size = "x".join(map(str, info.input_size))
        images = [
            f"{count:,}"
            for count in (info.total_num_samples, counts.train, counts.val, counts.test)
        ]
        start = [info.id, info.domain, size, *images]
        for task in info.tasks:
            row = (*start, task.name, task.task_target.value, str(task.num_labels))
            made.add_row(*map(escape, row))
            start = [""] * len(start)
    say(made)
    counted = {"dataset": len(infos), "task": sum(len(info.tasks) for info in infos)}
    counted |= {
        "domain": len({info.domain for info in infos}),
        "image": sum(info.total_num_samples for info in infos),
    }
    write(
        ", ".join(f"{count:,} {name}{'' if count == 1 else 's'}" for name, count in counted.items())
        + "\n"
    )
    return 0


def _infos(options: argparse.Namespace) -> list[DatasetInfo]:
    """Of the datasets in a folder, or of the one whose folder it is."""
    if (Path(options.folder) / "info.yaml").exists():
        return [MedIMetaDataset(options.folder, follow_links=options.follow_links).info]
    meta = MedIMeta(options.folder, follow_links=options.follow_links)
    return [dataset.info for dataset in meta.datasets.values()]


def _plain(info: DatasetInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name,
        "domain": info.domain,
        "input_size": list(info.input_size),
        "samples": info.total_num_samples,
        "splits": {
            name: getattr(info.splits_num_samples, name) for name in ("train", "val", "test")
        },
        "license": info.license,
        "domain_overlaps": list(info.domain_overlaps),
        "subject_overlaps": list(info.subject_overlaps),
        "tasks": [
            {
                "name": task.name,
                "task_target": task.task_target.value,
                "labels": list(task.labels.items()),
            }
            for task in info.tasks
        ],
    }


def _left_out(meta: MedIMeta, options: argparse.Namespace) -> int:
    by: By = options.by or "dataset"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TorchcrossWarning)
        left = meta.leave_one_domain_out(
            options.lodo, options.task, all_tasks=options.all_tasks, by=by
        )
    for warning in caught:
        sys.stderr.write(f"torchcross: warning: {warning.message}\n")
    names = [source.name for source in left.sources]
    targets = [target.name for target in left.targets]
    if options.json:
        write(
            json.dumps({"targets": targets, "sources": names, "why": dict(left.why)}, indent=2)
            + "\n"
        )
        return 0
    write("".join(f"target: {name}\n" for name in targets))
    write(f"sources: {len(names)}\n" + "".join(f"  {name}\n" for name in names))
    if options.why:
        made = table("", "dataset", "why")
        for dataset, reason in left.why.items():
            made.add_row(escape(dataset), escape(reason))
        say(made)
    return 0

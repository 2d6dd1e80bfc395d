"""List datasets and their tasks; with --lodo, list the sources when one dataset is the target."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medimeta_adapter.commands.output import say, warnings_as_lines, write
from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.format.info import DatasetInfo, TaskInfo
from medimeta_adapter.format.splits import SPLITS
from medimeta_adapter.leave_out.domains import By
from medimeta_adapter.leave_out.meta_dataset import MedIMeta
from torchcross._kit.counts import count_text
from torchcross._kit.listing_table import keep_words_whole, listing_table
from torchcross.cli.group import Parser
from torchcross.errors import InputError

_NUMBERS = ("size", "images", *SPLITS)
_OF_TASKS = ("task", "kind", "labels")


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "folder", help="a folder of datasets, or one dataset's folder (with info.yaml)"
    )
    parser.add_argument(
        "--lodo", metavar="TARGET", help="leave out this dataset and those that overlap with it"
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
        help="with --lodo: leave out the dataset or its domain (default: dataset)",
    )
    parser.add_argument(
        "--why", action="store_true", help="with --lodo: say why each dataset is a source or not"
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="follow links that leave the folder"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    if options.lodo is not None:
        meta = MedIMeta(options.folder, follow_links=options.follow_links)
        return _print_leave_one_out(meta, options)
    for flag in ("task", "by", "all_tasks", "why"):
        if getattr(options, flag):
            raise InputError(f"--{flag.replace('_', '-')} needs --lodo TARGET")
    infos = _dataset_infos(options)
    if options.json:
        write(json.dumps([_info_as_dict(info) for info in infos], indent=2) + "\n")
        return 0
    _print_infos(infos)
    return 0


def _print_infos(infos: list[DatasetInfo]) -> None:
    listing = _listing_of(infos)
    if sys.stdout.isatty() and not keep_words_whole(listing, Console().width):
        listing = _narrow_listing_of(infos)
    say(listing)
    totals = {
        "datasets": len(infos),
        "tasks": sum(len(info.tasks) for info in infos),
        "domains": len({info.domain for info in infos}),
        "images": sum(info.total_num_samples for info in infos),
    }
    counts = [count_text(count, name) for name, count in totals.items()]
    write(f"{', '.join(counts)}\n")


def _listing_of(infos: list[DatasetInfo]) -> Table:
    """A line for each task; the first of a dataset says what the dataset is."""
    columns = ("dataset", "domain", *_NUMBERS, *_OF_TASKS)
    listing = listing_table("", *columns, right=(*_NUMBERS, "labels"))
    for info in infos:
        start = [info.id, info.domain, *_numbers_of(info)]
        for task in info.tasks:
            listing.add_row(*map(escape, (*start, *_about_task(task))))
            start = [""] * len(start)
    return listing


def _narrow_listing_of(infos: list[DatasetInfo]) -> Table:
    """The same with the domain in a line below the dataset."""
    columns = ("dataset", *_NUMBERS, *_OF_TASKS)
    listing = listing_table("", *columns, right=(*_NUMBERS, "labels"), gap=1)
    for info in infos:
        start = [info.id, *_numbers_of(info)]
        below = [info.domain, *("" for _ in _NUMBERS)]
        tasks = [_about_task(task) for task in info.tasks] or [("", "", "")]
        tasks += [("", "", "")] * (2 - len(tasks))
        for task in tasks:
            listing.add_row(*map(escape, (*start, *task)))
            start, below = below, [""] * len(start)
    return listing


def _numbers_of(info: DatasetInfo) -> list[str]:
    splits = info.splits_num_samples
    counts = (info.total_num_samples, splits.train, splits.val, splits.test)
    return ["x".join(map(str, info.input_size)), *(f"{count:,}" for count in counts)]


def _about_task(task: TaskInfo) -> tuple[str, str, str]:
    return task.name, task.target().kind, str(task.num_labels)


def _dataset_infos(options: argparse.Namespace) -> list[DatasetInfo]:
    """The descriptions of all datasets in a folder, or of the one dataset in its own folder."""
    if (Path(options.folder) / "info.yaml").exists():
        return [MedIMetaDataset(options.folder, follow_links=options.follow_links).info]
    meta = MedIMeta(options.folder, follow_links=options.follow_links)
    return [dataset.info for dataset in meta.datasets.values()]


def _info_as_dict(info: DatasetInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name,
        "domain": info.domain,
        "input_size": list(info.input_size),
        "samples": info.total_num_samples,
        "splits": {name: getattr(info.splits_num_samples, name) for name in SPLITS},
        "license": info.license,
        "domain_overlaps": list(info.domain_overlaps),
        "subject_overlaps": list(info.subject_overlaps),
        "tasks": [
            {
                "name": task.name,
                "task_target": task.task_target.value,
                "labels": list(task.labels.items()),
                "missing_label": task.missing_label,
            }
            for task in info.tasks
        ],
    }


def _print_leave_one_out(meta: MedIMeta, options: argparse.Namespace) -> int:
    by: By = options.by or "dataset"
    with warnings_as_lines():
        leave_out = meta.leave_one_domain_out(
            options.lodo, options.task, all_tasks=options.all_tasks, by=by
        )
    names = [source.name for source in leave_out.sources]
    targets = [target.name for target in leave_out.targets]
    if options.json:
        plain = {"targets": targets, "sources": names, "why": dict(leave_out.why)}
        write(json.dumps(plain, indent=2) + "\n")
        return 0
    write("".join(f"target: {name}\n" for name in targets))
    write(f"sources: {len(names)}\n" + "".join(f"  {name}\n" for name in names))
    if options.why:
        listing = listing_table("", "dataset", "why")
        for dataset, reason in leave_out.why.items():
            listing.add_row(escape(dataset), escape(reason))
        say(listing)
    return 0

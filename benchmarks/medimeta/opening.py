"""Reading the descriptions of all 19 datasets: this adapter and the published medimeta reader."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import interleave, number, table
from benchmarks.medimeta.folders import write_info
from benchmarks.peers import Worker, ensure
from benchmarks.peers.environment import ROOT
from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.synthetic import catalog

SCRIPT = Path(__file__).with_name("contestants") / "opening.py"


def measure(quick: bool, threads: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for entry in catalog.datasets.values():
            tasks = [
                TaskInfo(
                    task.name, task.task_target, {key: f"label {key}" for key in task.label_keys}
                )
                for task in entry.tasks
            ]
            write_info(root / entry.id, entry.id, tasks, (entry.channels, 224, 224), entry.samples)
        with (
            Worker(ensure(), SCRIPT, root, "published") as published,
            Worker(sys.executable, SCRIPT, root, "ours", path=ROOT) as ours,
        ):
            if published.measure("published", 1).last != ours.measure("ours", 1).last:
                raise AssertionError("the two do not find the same datasets and tasks")
            rates = interleave(
                [published, ours], rounds=3 if quick else 7, seconds=0.3 if quick else 1.5
            )
    rows = [[rate.name, f"{1000 / rate.median:.1f}", number(rate.over(rates[0]))] for rate in rates]
    table(
        "opening all 19 datasets, 54 tasks (wanted: under a second)",
        ["reader", "ms", "x published"],
        rows,
    )
    return [
        {"name": rate.name, "seconds": 1 / rate.median, "x": rate.over(rates[0])} for rate in rates
    ]

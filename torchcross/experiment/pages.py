"""The page and the tables of a run, from its folder alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torchcross._whole_files import write_whole
from torchcross.errors import InputError
from torchcross.evaluation import Records
from torchcross.experiment.examples import read_example
from torchcross.experiment.folder import RunFolder
from torchcross.report import Curve, Failure, csv_table, latex_table, markdown_table, write_report
from torchcross.training import read_log

__all__ = ["TABLES", "compared", "page"]

TABLES = {"table.md": markdown_table, "table.tex": latex_table, "table.csv": csv_table}


def page(folder: str | Path, *, title: str | None = None) -> Path:
    """Write report.html and the tables of a run, and return the page's path."""
    run = RunFolder(folder)
    records, failures = run.records(), run.failures()
    if not len(records) and not failures:
        raise InputError(f"{run.path} has no rows yet; let `torchcross run` do its work first")
    protocol = run.plain("protocol.json")
    examples = [read_example(path) for path in sorted((run.path / "examples").glob("*.npz"))]
    written = write_report(
        records,
        run.path / "report.html",
        title=title or f"Cross-domain few-shot learning: {run.path.name}",
        protocol=protocol,
        provenance=run.plain("provenance.json"),
        curves=list(_curves(run)),
        examples=examples,
        failures=list(map(_failure, failures)),
        metric=run.experiment["evaluation"]["metric"] if len(records) else None,
        related=protocol.get("related targets", ()),
    )
    if len(records):
        _write_tables(run.path, records)
    return written


def compared(folders: list[str | Path], out: str | Path) -> Path:
    """One page over the rows of several runs; the rows of each say which run they are of."""
    if len({RunFolder(folder).path.name for folder in folders}) < len(folders):
        raise InputError(f"two of {[str(folder) for folder in folders]} have one name; rename one folder")
    runs = [RunFolder(folder) for folder in folders]
    whole = Records.of([])
    for run in runs:
        columns: dict[str, Any] = {**run.records().columns}
        columns["algorithm"] = [f"{name} ({run.path.name})" for name in columns["algorithm"].tolist()]
        columns["run"] = ["compared"] * len(columns["value"])
        whole = whole + Records(columns)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written = write_report(
        whole,
        out / "report.html",
        title="Compared: " + ", ".join(run.path.name for run in runs),
        protocol={run.path.name: run.plain("protocol.json") for run in runs},
        provenance={run.path.name: run.plain("provenance.json") for run in runs},
    )
    _write_tables(out, whole)
    return written


def _failure(told: Mapping[str, str]) -> Failure:
    return Failure(
        reason=told["reason"],
        kind=told["kind"],
        target=told["target"],
        algorithm=told["algorithm"],
        seed=int(told["seed"]),
    )


def _write_tables(folder: Path, records: Records) -> None:
    for name, table in TABLES.items():
        write_whole(folder / name, table(records))


def _curves(run: RunFolder) -> Iterator[Curve]:
    for log in sorted((run.path / "train").glob("*/log.csv")):
        told = run.plain(f"train/{log.parent.name}/training.json")
        if not told:
            continue
        scores = {step: score for step, *_, score in read_log(log) if score is not None}
        yield Curve(
            label=f"{told['algorithm']}, seed {told['seed']}",
            quantity="validation auroc, on the sources",
            steps=list(scores),
            values=list(scores.values()),
            group=f"without {told['target']}",
            best=told["best_step"],
        )

"""The page and the tables of a run, from its folder alone; of several runs; of a published table of
means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError
from torchcross.experiment.page.disputed_choices import choices
from torchcross.experiment.page.headline import (
    Leading,
    cautions,
    differing,
    episodes_of,
    made_up,
    shared_subjects,
)
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.examples import read_example
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.settings.reading import experiment
from torchcross.records import Records, read_means
from torchcross.report import (
    Curve,
    Example,
    Failure,
    csv_table,
    html_table,
    latex_table,
    markdown_table,
    write_report,
)
from torchcross.training import read_log

__all__ = ["TABLES", "compared", "outcome_html", "write_means_page", "write_page"]

_QUANTITIES = {
    False: "validation AUROC of the trained heads",
    True: "validation AUROC over episodes of the sources",
}
TABLES = {"table.md": markdown_table, "table.tex": latex_table, "table.csv": csv_table}


def write_page(
    folder: str | Path,
    *,
    title: str | None = None,
    out: str | Path | None = None,
    metric: str | None = None,
) -> Path:
    """Write report.html and the tables of a run, in its folder or under `out`, and return the
    page's path.

    `metric` leads the page instead of the experiment's.
    """
    run = RunFolder(folder)
    records, failures = run.records(), run.failures()
    if not len(records) and not failures:
        raise InputError(f"{run.path} has no rows yet; let `torchcross run` do its work first")
    protocol, provenance = _protocol_of(run), run.plain("provenance.json")
    related = [set(group) for group in protocol.get("related targets", ())]
    trainings = list(_trainings(run))
    leads = Leading.of(records, [run], metric)
    episodes = episodes_of(run, records)
    out = _made(run.path if out is None else Path(out))
    written = write_report(
        records,
        out / "report.html",
        title=title or f"Cross-domain few-shot learning: {run.name}",
        protocol=_in_order(protocol),
        provenance={**provenance, "trainings": trainings} if trainings else provenance,
        curves=list(_curves(run, trainings)),
        examples=_examples(run),
        failures=list(map(_failure, failures)),
        choices=_choices_of(run, records, related, trainings),
        warnings=[
            *leads.warnings,
            *made_up(provenance),
            *cautions(protocol),
            *shared_subjects(run),
        ],
        metric=leads.metric,
        method=leads.method,
        related=related,
        episodes=episodes,
    )
    if len(records):
        _write_tables(out, records, leads, episodes)
    return written


def compared(folders: Sequence[str | Path], out: str | Path, *, metric: str | None = None) -> Path:
    """One page over the rows of several runs; the rows of each say which run they are of.

    Algorithms of different runs are paired where they were scored on the same episodes.
    """
    runs = {folder.path.resolve().name: folder for folder in map(RunFolder, folders)}
    if len(runs) < len(folders):
        raise InputError(
            f"two of {[str(folder) for folder in folders]} have one name; rename one folder"
        )
    tables: list[Records] = []
    episodes: dict[tuple[str, str, int], str] = {}
    for name, run in runs.items():
        records = run.records()
        columns: dict[str, Any] = {**records.columns}
        columns["algorithm"] = [
            f"{algorithm} ({name})" for algorithm in columns["algorithm"].tolist()
        ]
        columns["run"] = ["compared"] * len(records)
        tables.append(Records(columns))
        found = episodes_of(run, records, unknown=f"of {name}, which does not tell")
        episodes |= {
            (f"{algorithm} ({name})", target, k): text
            for (algorithm, target, k), text in found.items()
        }
    whole = _joined(tables)
    protocols = {name: run.plain("protocol.json") for name, run in runs.items()}
    provenances = {name: run.plain("provenance.json") for name, run in runs.items()}
    leads = Leading.of(whole, list(runs.values()), metric)
    groups = {
        frozenset(group) for one in protocols.values() for group in one.get("related targets", ())
    }
    own = [
        f"{name}: {text}"
        for name, run in runs.items()
        for text in (*cautions(protocols[name]), *shared_subjects(run))
    ]
    synthetic = dict.fromkeys(text for one in provenances.values() for text in made_up(one))
    out = _made(Path(out))
    written = write_report(
        whole,
        out / "report.html",
        title="Compared: " + ", ".join(runs),
        protocol={name: _in_order(one) for name, one in protocols.items()},
        provenance=provenances,
        failures=[_failure(told, name) for name, run in runs.items() for told in run.failures()],
        choices=_choices_of_all(runs),
        warnings=[*leads.warnings, *differing(runs, provenances), *synthetic, *own],
        metric=leads.metric,
        method=leads.method,
        related=sorted(groups, key=sorted),
        episodes=episodes,
    )
    if len(whole):
        _write_tables(out, whole, leads, episodes)
    return written


def write_means_page(
    table: str | Path,
    out: str | Path,
    *,
    title: str | None = None,
    metric: str = "",
    related: Iterable[Collection[str]] = (),
) -> Path:
    """The page and the tables of a published table of means (see
    `torchcross.evaluation.read_means`).
    """
    table = Path(table)
    groups = [set(one) for one in related]
    means = read_means(table, metric=metric)
    for group in groups:
        if unknown := sorted(group - set(means.targets)):
            raise InputError(
                f"related targets {unknown} are not in {table}; there are"
                f" {', '.join(means.targets)}"
            )
    out = _made(Path(out))
    written = write_report(
        means,
        out / "report.html",
        title=title or f"Means by target: {table.stem}",
        protocol={
            "means": (
                "as they stand in the table; how they were made is for whoever published them"
                " to say"
            )
        },
        provenance={
            "table": table.name,
            "sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
            "packages": {"torchcross-fewshot": _version("torchcross-fewshot")},
        },
        related=groups,
    )
    for name, write in TABLES.items():
        write_whole(out / name, write(means))
    return written


def outcome_html(folder: RunFolder, records: Records, failures: Sequence[Mapping[str, str]]) -> str:
    """What a notebook shows of a run: the headline table, what failed, and where the page is."""
    parts = ["<p>No rows.</p>"]
    if len(records):
        leads = Leading.of(records, [folder], None)
        table = html_table(
            records, metric=leads.metric, method=leads.method, episodes=episodes_of(folder, records)
        )
        parts = [table, *(f"<p>{escape(text)}</p>" for text in leads.warnings)]
    if failures:
        listed = (
            f"<li>{escape(told['algorithm'])} on {escape(told['target'])}, training seed"
            f" {escape(told['seed'])}: {escape(told['reason'])}</li>"
            for told in failures
        )
        parts.append(f"<p>Failed: {len(failures)}</p><ul>{''.join(listed)}</ul>")
    report = folder.path / "report.html"
    where = (
        str(report)
        if report.is_file()
        else f"not written yet: torchcross.write_page({str(folder.path)!r})"
    )
    return "".join([*parts, f"<p><small>Page: {escape(where)}</small></p>"])


def _joined(tables: Sequence[Records]) -> Records:
    columns = [table.columns for table in tables]
    return Records({name: np.concatenate([one[name] for one in columns]) for name in columns[0]})


# -- choices and warnings --------------------------------------------------------------------------


def _choices_of(
    run: RunFolder,
    records: Records,
    related: Sequence[set[str]],
    trainings: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    protocol = run.plain("protocol.json")
    found = _chosen(run, protocol)
    targets = set(records.unique("target")) | {told["target"] for told in run.failures()}
    shared = [sorted(group & targets) for group in related if len(group & targets) > 1]
    if shared:
        listed = "; ".join(", ".join(group) for group in shared)
        found["related targets"] = (
            f"{listed} share subjects or images: they are not independent of each other."
        )
    else:
        found["related targets"] = "none: as far as the data tell, no two targets share subjects."
    supplies = protocol.get("episodes of targets", {})
    least, asked = (
        run.experiment["evaluation"]["min_images"],
        run.experiment["evaluation"]["episodes"],
    )
    if dropped := {
        name: one["classes left out"] for name, one in supplies.items() if one["classes left out"]
    }:
        listed = "; ".join(f"{name}: {', '.join(classes)}" for name, classes in dropped.items())
        found["classes left out"] = f"{listed}. They have fewer than {least} images."
    if fewer := {
        name: one["episodes"] for name, one in supplies.items() if one["episodes"] < asked
    }:
        listed = "; ".join(f"{name}: {count}" for name, count in fewer.items())
        found["fewer episodes"] = (
            f"{listed}. Their images give no more disjoint ones; {asked} were asked for."
        )
    if left := list(_left_out(trainings)):
        found["sources that could not be used"] = (
            f"{'; '.join(left)}. The reasons stand under Provenance, trainings."
        )
    if silent := protocol.get("settings without effect"):
        found["settings without effect"] = f"{'; '.join(silent)}."
    return found


def _chosen(run: RunFolder, protocol: Mapping[str, Any]) -> dict[str, str]:
    """In the words of the version that made the run; runs of before have none."""
    told = protocol.get("choices")
    return choices(experiment(run.experiment)) if told is None else dict(told)


def _left_out(trainings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For each algorithm, of how many sources at most: targets leave different ones."""
    most: dict[str, tuple[int, int]] = {}
    for told in trainings:
        if lost := len(told["left_out"]):
            of = lost + len(told["sources"])
            most[told["algorithm"]] = max(most.get(told["algorithm"], (0, 0)), (lost, of))
    for name, (count, of) in most.items():
        yield f"{name} did not learn from {count} of {of}, where it is most"
    if unjudged := dict.fromkeys(told["algorithm"] for told in trainings if told.get("unjudged")):
        yield f"{', '.join(unjudged)} could not be judged by some validation splits"


def _choices_of_all(runs: Mapping[str, RunFolder]) -> dict[str, str]:
    """Said once where all runs chose alike, else for each run."""
    each = {name: _chosen(run, run.plain("protocol.json")) for name, run in runs.items()}
    found: dict[str, str] = {}
    for name in dict.fromkeys(key for one in each.values() for key in one):
        texts = {run: one[name] for run, one in each.items() if name in one}
        if len(texts) == len(each) and len(set(texts.values())) == 1:
            found[name] = next(iter(texts.values()))
        else:
            found |= {f"{name} ({run})": text for run, text in texts.items()}
    return found


# -- parts of a page -------------------------------------------------------------------------------


def _in_order(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What decides most comes first."""
    first = [name for name in ("preset", "rows", "interval", "related targets") if name in protocol]
    said_elsewhere = ("choices", "cautions", "order of targets", "settings without effect")
    return {name: protocol[name] for name in (*first, *protocol) if name not in said_elsewhere}


def _failure(told: Mapping[str, str], run: str = "") -> Failure:
    return Failure(
        reason=told["reason"],
        kind=told["kind"],
        target=told["target"],
        algorithm=f"{told['algorithm']} ({run})" if run else told["algorithm"],
        seed=int(told["seed"]),
    )


def _write_tables(
    folder: Path, records: Records, leads: Leading, episodes: Mapping[tuple[str, str, int], str]
) -> None:
    for name, write in TABLES.items():
        write_whole(
            folder / name,
            write(records, metric=leads.metric, method=leads.method, episodes=episodes),
        )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _protocol_of(run: RunFolder) -> dict[str, Any]:
    """With the settings of the last call: those that only show the rows may have changed since the
    rows were made.
    """
    protocol = run.plain("protocol.json")
    return {**protocol, "experiment": run.experiment} if protocol else {}


def _trainings(run: RunFolder) -> list[dict[str, Any]]:
    """What is known of each training that ended, in the order of the experiment."""
    found = []
    for log in sorted((run.path / "train").glob("*/log.csv")):
        told = run.plain(f"train/{log.parent.name}/training.json")
        if told:
            found.append({**told, "folder": log.parent.name})
    algorithms = list(run.experiment["algorithms"])
    return sorted(
        found, key=lambda told: (told["target"], algorithms.index(told["algorithm"]), told["seed"])
    )


def _curves(run: RunFolder, trainings: Iterable[Mapping[str, Any]]) -> Iterator[Curve]:
    for told in trainings:
        log = read_log(run.path / "train" / told["folder"] / "log.csv")
        scores = {step: score for step, *_, score in log if score is not None}
        if not scores:
            continue
        own = METHODS[told["algorithm"]].supervised
        yield Curve(
            label=told["algorithm"],
            quantity=_QUANTITIES[METHODS[told["algorithm"]].make is not None],
            steps=list(scores),
            values=list(scores.values()),
            group=f"{told['target']}, its train split" if own else f"without {told['target']}",
            best=told["best_step"] if told["best_step"] in scores else None,
        )


def _examples(run: RunFolder) -> list[Example]:
    """By target; the algorithms in the order of the experiment."""
    found = [read_example(path) for path in sorted((run.path / "examples").glob("*.npz"))]
    algorithms = list(run.experiment["algorithms"])
    return sorted(found, key=lambda one: (one.target, algorithms.index(one.algorithm)))

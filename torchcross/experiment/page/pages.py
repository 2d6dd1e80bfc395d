"""Pages and tables of a run, and of several runs."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, get_args

from torchcross._kit.whole_files import name_as_text, write_whole
from torchcross.errors import InputError
from torchcross.experiment.page.caveats import unfinished_caveats
from torchcross.experiment.page.compared_runs import check_same_runs, write_compared_runs
from torchcross.experiment.page.data_tables import study_tables
from torchcross.experiment.page.episode_answers import answers_of_run
from torchcross.experiment.page.equal_rows import rows_shown_once
from torchcross.experiment.page.headline import (
    Headline,
    caution_warnings,
    difference_warnings,
    episodes_of_rows,
    headline_of,
    scales_of,
    shared_subject_warnings,
    unhashed_warnings,
)
from torchcross.experiment.page.image_level import EpisodesOfRows, draws_of_run, draws_of_runs
from torchcross.experiment.page.image_results import image_results, write_image_tables
from torchcross.experiment.page.natural_falls import natural_falls
from torchcross.experiment.page.picture_reader import RunPictures
from torchcross.experiment.page.prediction_set_tables import tables_of_sets
from torchcross.experiment.page.row_names import RowNames
from torchcross.experiment.page.run_choices import choices_of_run, choices_of_runs, published_points
from torchcross.experiment.page.run_parts import curves_of, examples_of, trainings_of
from torchcross.experiment.page.table_marks import marks_of, marks_of_runs
from torchcross.experiment.page.tuning_table import tuning_tables
from torchcross.experiment.rows.tuning_words import tuning_warnings
from torchcross.experiment.run.folder import PROTOCOL, PROVENANCE, RunFolder
from torchcross.experiment.run.page_files import PAGE, TABLES, write_page_hashes
from torchcross.experiment.run.run_plugins import changes_in_words, check_rows_known
from torchcross.records import Records
from torchcross.report import Failure, write_report
from torchcross.report.episode_pictures import PicturedRows
from torchcross.report.summarise import summarise
from torchcross.report.summary import EpisodeDraws, Summary
from torchcross.report.tables import csv_of, latex_of, markdown_of

_TEXTS = dict(zip(TABLES, (markdown_of, latex_of, csv_of), strict=True))
_FIRST = ("preset", "rows", "interval", "related targets")
_ELSEWHERE = ("choices", "published", "cautions", "order of targets", "settings without effect")
"""Parts of a protocol that stand first on a page, and those that the page shows elsewhere."""


def write_page(
    folder: str | Path,
    *,
    title: str | None = None,
    out: str | Path | None = None,
    metric: str | None = None,
    margin: float | None = None,
    uncertainty: str | None = None,
    data: str | Path | None = None,
    times: bool = False,
    pictures: PicturedRows = "leader",
) -> Path:
    """Write report.html and the tables of a run, in its folder or in `out`; return the page's path.

    `metric` leads the page instead of the experiment's metric. `margin`, in its unit, stands in the
    place of the experiment's margin of equivalence, and `uncertainty`, "images" or "episodes", in
    that of `evaluation.uncertainty`. `data` is the folder of the run's data: plans that the run
    lacks are drawn again from it, and count where the rows were scored on these very episodes.
    `times`: the page says when and where the run was made, and how long each row took; without it,
    equal runs have equal pages. `pictures`: the images of the best, median and worst episodes of
    the "leader" are shown, of "all" rows or of "none", from `data` or the experiment's folder.
    """
    _check_pictures(pictures)
    run = RunFolder(folder)
    records, failures = _rows_and_failures(run)
    protocol, provenance = _protocol_of(run), run.plain(PROVENANCE)
    related = [set(group) for group in protocol.get("related targets", ())]
    trainings = trainings_of(run)
    if trainings:
        provenance["trainings"] = trainings
    names = RowNames(run)
    episodes = episodes_of_rows(run, records)
    draws = draws_of_run(run, records, episodes, uncertainty, data)
    episodes = names.of_episodes(episodes)
    headline = headline_of(records, [run], metric, margin)
    answers = answers_of_run(run, records, headline.metric, RunPictures(run, data))
    records, out = names.of_records(records), run.path if out is None else Path(out)
    images = names.of_images(image_results(run, draws.of_targets(episodes)))
    studied = study_tables(run, protocol, records, names, trainings, times=times)
    studied += tuning_tables(run.experiment, list(protocol.get("targets", ())))
    page = _write(
        records,
        out,
        headline,
        episodes,
        draws.of_rows(episodes),
        scales_of(protocol),
        marks_of(run, protocol, names),
        names.of_all(map(_failure, failures)),
        title=title or f"Cross-domain few-shot learning: {run.name}",
        protocol=_in_order(protocol),
        provenance=provenance,
        curves=names.of_all(curves_of(run, trainings)),
        examples=names.of_all(examples_of(run)),
        choices=choices_of_run(run, records, related, trainings),
        published=published_points([run]),
        warnings=[*headline.warnings, *draws.warnings, *_own_warnings(run, protocol)],
        unfinished=unfinished_caveats(run),
        answers=names.of_all(answers),
        pictures=pictures,
        related=related,
        images=images,
        tables=[*studied, *tables_of_sets(run, images)],
    )
    write_image_tables(images, out)
    if out.resolve() == run.path.resolve():
        write_page_hashes(run.path)
    return page


def _check_pictures(pictures: str) -> None:
    if pictures not in (known := get_args(PicturedRows)):
        raise InputError(f"pictures={pictures!r} is not known; give {', '.join(known)}")


def _rows_and_failures(run: RunFolder) -> tuple[Records, list[dict[str, str]]]:
    """Those of a run that has any, whose rows are known here."""
    records, failures = run.records(), run.failures()
    if not len(records) and not failures:
        raise InputError(f"{run.path} has no rows yet; let `torchcross run` finish first")
    check_rows_known(run)
    return records, failures


def _protocol_of(run: RunFolder) -> dict[str, Any]:
    """With the settings of the last call: those that only show the rows may have changed."""
    protocol = run.plain(PROTOCOL)
    return {**protocol, "experiment": run.experiment} if protocol else {}


def compare_runs(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    metric: str | None = None,
    margin: float | None = None,
    uncertainty: str | None = None,
    force: bool = False,
) -> Path:
    """Write one page over the rows of several runs; each algorithm is named with its run.

    Algorithms of different runs are paired where they were scored on the same episodes. `metric`,
    `margin` and `uncertainty` are those of `write_page`. A page of other runs in `out` is replaced
    with `force` alone.
    """
    runs = _named_runs(folders)
    if not force:
        check_same_runs(Path(out), runs.values())
    tables: list[Records] = []
    episodes: dict[tuple[str, str, int], str] = {}
    by_run: dict[str, EpisodesOfRows] = {}
    own: dict[str, Records] = {}
    for name, run in runs.items():
        check_rows_known(run)
        own[name] = run.records()
        by_run[name] = episodes_of_rows(run, own[name], f"of {name}, which does not say")
        episodes |= RowNames(run, name).of_episodes(by_run[name])
    shown, notes = rows_shown_once(own, by_run)
    for name, run in runs.items():
        columns: dict[str, Any] = dict(RowNames(run, name).of_records(shown[name]).columns)
        columns["run"] = ["compared"] * len(shown[name])
        tables.append(Records(columns))
    records = reduce(operator.add, tables)
    protocols = {name: run.plain(PROTOCOL) for name, run in runs.items()}
    provenances = {name: run.plain(PROVENANCE) for name, run in runs.items()}
    headline = headline_of(records, list(runs.values()), metric, margin, uncertainty)
    draws = draws_of_runs(runs, by_run, uncertainty)
    warnings = [*headline.warnings, *difference_warnings(runs, provenances), *draws.warnings]
    natural = natural_falls(runs, own, headline.metric)
    warnings += [*natural.warnings, *notes]
    groups: set[frozenset[str]] = set()
    failures: list[Failure] = []
    for name, run in runs.items():
        row_names = RowNames(run, name)
        warnings += [f"{name}: {text}" for text in _own_warnings(run, protocols[name])]
        groups |= set(map(frozenset, protocols[name].get("related targets", ())))
        failures += row_names.of_all(map(_failure, run.failures()))
    page = _write(
        records,
        Path(out),
        headline,
        episodes,
        draws.of_rows(episodes),
        {target: scale for each in protocols.values() for target, scale in scales_of(each).items()},
        marks_of_runs(runs, protocols),
        failures,
        title="Compared: " + ", ".join(runs),
        protocol={name: _in_order(protocol) for name, protocol in protocols.items()},
        provenance=provenances,
        choices=choices_of_runs(runs),
        published=published_points(list(runs.values())),
        warnings=warnings,
        unfinished=[
            f"{name}: {text}" for name, run in runs.items() for text in unfinished_caveats(run)
        ],
        related=sorted(groups, key=sorted),
        tables=natural.tables,
    )
    write_compared_runs(Path(out), runs.values())
    return page


def _named_runs(folders: Sequence[str | Path]) -> dict[str, RunFolder]:
    runs: dict[str, RunFolder] = {}
    for run in map(RunFolder, folders):
        name = name_as_text(run.path.resolve())
        other = runs.setdefault(name, run)
        if other is not run:
            if other.path.resolve() == run.path.resolve():
                raise InputError(f"{run.path} stands twice among the runs to compare; give it once")
            raise InputError(
                f"{other.path} and {run.path} have one name, and rows are named with the names of"
                " their folders; rename one folder"
            )
    return runs


def _write(
    records: Records,
    out: Path,
    headline: Headline,
    episodes: EpisodesOfRows,
    draws: EpisodeDraws,
    scales: Mapping[str, str],
    marks: Mapping[str, Any],
    failures: Sequence[Failure],
    **parts: Any,
) -> Path:
    """The page and, where there are rows, the tables."""
    out.mkdir(parents=True, exist_ok=True)
    shown: dict[str, Any] = {
        "metric": headline.metric,
        "method": headline.method,
        "episodes": episodes,
        "draws": draws,
        "scales": scales,
        "margin": headline.margin,
        "failures": failures,
        **marks,
    }
    page = write_report(records, out / PAGE, **shown, **parts)
    if len(records):
        write_tables(summarise(records, **shown), out)
    return page


def write_tables(summary: Summary, out: Path) -> None:
    """Of a page: as Markdown, LaTeX and CSV."""
    for name, text_of in _TEXTS.items():
        write_whole(out / name, text_of(summary))


# -- parts of a page -------------------------------------------------------------------------------


def _in_order(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What decides most comes first."""
    first = [name for name in _FIRST if name in protocol]
    return {name: protocol[name] for name in (*first, *protocol) if name not in _ELSEWHERE}


def _own_warnings(run: RunFolder, protocol: Mapping[str, Any]) -> list[str]:
    """What a reader must know of one run."""
    experiment = run.experiment
    return [
        *caution_warnings(protocol),
        *tuning_warnings(experiment.get("tuned", {}), run.algorithms),
        *shared_subject_warnings(run),
        *unhashed_warnings(run),
        *changes_in_words(run.plain(PROVENANCE)),
    ]


def _failure(failure: Mapping[str, str]) -> Failure:
    return Failure(
        reason=failure["reason"],
        kind=failure["kind"],
        target=failure["target"],
        algorithm=failure["algorithm"],
        seed=int(failure["seed"]),
    )

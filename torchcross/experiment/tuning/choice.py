"""What a search chose: for each target and row the trial of the best score, and tables of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from torchcross._kit.content_hash import with_hash_line
from torchcross._kit.spreadsheet_cells import cell_of_text
from torchcross._kit.whole_files import write_whole
from torchcross.experiment.run.identity import decisive_settings
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.shots import with_shots_as_stored
from torchcross.experiment.tuning.folder import CHOSEN, TABLE, TuneFolder
from torchcross.experiment.tuning.scoring import METRIC
from torchcross.experiment.tuning.search import TuneContext

Results = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""(target, row) -> its trials, in their order; only what was tried in full."""

_COLUMNS = ("target", "row", "trial", "chosen", METRIC, "undefined", "training steps", "reason")


def write_choice(context: TuneContext, sources: Mapping[str, str | Exception]) -> None:
    """Write chosen.json and trials.csv from the trials that there are."""
    results = _results(context, sources)
    experiment, tune = context.experiment, context.experiment.tune
    chosen: dict[str, dict[str, Any]] = {target: {} for target in sources}
    scores: dict[str, dict[str, Any]] = {target: {} for target in sources}
    for (target, row), trials in results.items():
        scores[target][row] = _in_numbers(trials)
        if (best := best_trial(trials)) is not None:
            chosen[target][row] = best["settings"]
    record = {
        "targets": chosen,
        "about": {
            "search": tune.search,
            "trials": context.plan.trials,
            "seed": tune.seed,
            "score": tune.score,
            "metric": METRIC,
            "episodes": tune.episodes,
            "queries": tune.queries or experiment.evaluation.queries,
            "shots": with_shots_as_stored(as_plain(experiment))["shots"],
            "training seed": experiment.seeds[0],
            "space": {
                each.row: {name: choice.as_table() for name, choice in each.space.items()}
                for each in context.plan.searches
            },
            "not searched": list(context.plan.untuned),
            "order of rows": [each.row for each in context.plan.searches],
            "order of targets": list(sources),
            "scored on": _judges(results),
            "results": scores,
            "sources": {target: key for target, key in sources.items() if isinstance(key, str)},
            "settings": decisive_settings(experiment),
        },
    }
    _write_if_changed(context.folder, as_plain(record))
    write_whole(context.folder.path / TABLE, with_hash_line(_table(results).encode()))


def best_trial(trials: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first trial of the best score; None where no trial has one."""
    scored = [trial for trial in trials if trial["score"] is not None]
    return max(scored, key=lambda trial: trial["score"], default=None)


def _results(context: TuneContext, sources: Mapping[str, str | Exception]) -> Results:
    results: dict[tuple[str, str], Sequence[Mapping[str, Any]]] = {}
    for target, key in sources.items():
        if isinstance(key, Exception):
            continue
        for each in context.plan.searches:
            numbers = range(1, len(each.trials) + 1)
            paths = [context.folder.trial_file(each.row, number, key) for number in numbers]
            trials = [context.folder.trial(path) for path in paths]
            scored = [trial for trial in trials if trial is not None]
            # Every row has the same budget: nothing is chosen from a part of it.
            if len(scored) == len(trials):
                results[target, each.row] = scored
    return results


def _in_numbers(trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    scores = [trial["score"] for trial in trials if trial["score"] is not None]
    best = best_trial(trials)
    trainings = {
        each["training"]["training"]: each["training"]["steps"]
        for each in trials
        if each["training"] is not None
    }
    numbers: dict[str, Any] = {
        "trial": None,
        "score": None,
        "median": None,
        "lowest": None,
        "without score": len(trials) - len(scores),
        "trainings": len(trainings),
        "training steps": sum(trainings.values()),
    }
    if best is not None:
        numbers |= {"trial": best["trial"], "score": best["score"]}
        numbers |= {"median": median(scores), "lowest": min(scores)}
    return numbers


def _judges(results: Results) -> dict[str, Any]:
    """For each target, the sources whose validation splits scored its trials, and the others."""
    judges: dict[str, Any] = {}
    for (target, _), trials in results.items():
        scored_on = trials[0]["scored on"]
        judges[target] = {"sources": scored_on["of"], "too small": scored_on["too small"]}
    return judges


def _write_if_changed(folder: TuneFolder, record: dict[str, Any]) -> None:
    if folder.plain(CHOSEN) != record:
        write_json(folder.path / CHOSEN, record)


# -- the table of trials ---------------------------------------------------------------------------


def _table(results: Results) -> str:
    """All trials as CSV, with a column for every setting that some row searched."""
    names = sorted({name for trials in results.values() for name in trials[0]["settings"]})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *names])
    writer.writerows(_lines(results, names))
    return text.getvalue()


def _lines(results: Results, names: Sequence[str]) -> Iterator[list[Any]]:
    for (target, row), trials in results.items():
        best = best_trial(trials)
        for trial in trials:
            training, settings = trial["training"] or {}, trial["settings"]
            values = {name: json.dumps(value) for name, value in settings.items()}
            yield [
                *map(cell_of_text, (target, row)),
                trial["trial"],
                "chosen" if trial is best else "",
                # csv writes None as an empty cell.
                trial["score"],
                trial["undefined"],
                training.get("steps"),
                cell_of_text(trial["reason"]),
                *(values.get(name) for name in names),
            ]

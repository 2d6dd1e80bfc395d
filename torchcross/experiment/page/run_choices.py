"""The disputed choices of runs, as their pages say them: of the protocol, and of what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torchcross.experiment.page.lacking_supports import lacking_in_words
from torchcross.experiment.rows.disputed_choices import choices
from torchcross.experiment.rows.training_setup import NO_JUDGE
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.settings.published import published_part
from torchcross.experiment.settings.reading import experiment_from_values
from torchcross.records import Records


def choices_of_run(
    run: RunFolder,
    records: Records,
    related: Sequence[set[str]],
    trainings: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    protocol, evaluation = run.plain(PROTOCOL), run.experiment["evaluation"]
    texts = _protocol_choices(run)
    targets = set(records.unique("target")) | {failure["target"] for failure in run.failures()}
    shared = [sorted(group & targets) for group in related if len(group & targets) > 1]
    texts["related targets"] = "none: as far as the data says, no two targets share subjects."
    if shared:
        listed = "; ".join(", ".join(group) for group in shared)
        texts["related targets"] = (
            f"{listed} share subjects or images: they are not independent of each other."
        )
    dropped, fewer = [], []
    for name, target in protocol.get("episodes of targets", {}).items():
        if target["classes left out"]:
            dropped.append(f"{name}: {', '.join(target['classes left out'])}")
        if target["episodes"] < evaluation["episodes"]:
            fewer.append(f"{name}: {target['episodes']}")
    if dropped:
        least = evaluation["min_images"]
        texts["classes left out"] = f"{'; '.join(dropped)}. They have fewer than {least} images."
    if fewer:
        texts["fewer episodes"] = (
            f"{'; '.join(fewer)}. Their images give no more disjoint ones;"
            f" {evaluation['episodes']} were asked for."
        )
    if lacking := lacking_in_words(run):
        texts["supports"] = lacking
    if unused := list(_unused_sources(trainings)):
        texts["sources that could not be used"] = (
            f"{'; '.join(unused)}. The reasons are under Provenance, trainings."
        )
    if without_effect := protocol.get("settings without effect"):
        texts["settings without effect"] = f"{'; '.join(without_effect)}."
    return texts


def choices_of_runs(runs: Mapping[str, RunFolder]) -> dict[str, str]:
    """Each choice once where all runs chose alike, else for each run."""
    by_run = {name: _protocol_choices(run) for name, run in runs.items()}
    texts: dict[str, str] = {}
    for choice in dict.fromkeys(key for chosen in by_run.values() for key in chosen):
        said = {run: chosen[choice] for run, chosen in by_run.items() if choice in chosen}
        if len(said) == len(by_run) and len(set(said.values())) == 1:
            texts[choice] = next(iter(said.values()))
        else:
            texts |= {f"{choice} ({run})": text for run, text in said.items()}
    return texts


def _protocol_choices(run: RunFolder) -> dict[str, str]:
    """In the words of the version that made the run; the earliest versions wrote none."""
    written = run.plain(PROTOCOL).get("choices")
    return choices(experiment_from_values(run.experiment)) if written is None else dict(written)


def published_points(runs: Sequence[RunFolder]) -> dict[str, list[dict[str, str]]]:
    """What each run's protocol is compared with, and the points; runs alike stand together."""
    points: dict[str, list[dict[str, str]]] = {}
    publications: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    for run in runs:
        part = run.plain(PROTOCOL).get("published")
        if part is None:
            part = published_part(experiment_from_values(run.experiment))
        key = json.dumps(part, sort_keys=True)
        points[key] = part["points"]
        names.setdefault(key, []).append(run.name)
        publications[key] = part["publication"]
    alone = len(points) == 1
    return {
        publications[key] if alone else f"{publications[key]} ({', '.join(names[key])})": each
        for key, each in points.items()
    }


def _unused_sources(trainings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For each algorithm, the most sources that one training could not use."""
    most: dict[str, tuple[int, int]] = {}
    for training in trainings:
        if unused := len(training["left_out"]):
            name, total = training["algorithm"], unused + len(training["sources"])
            most[name] = max(most.get(name, (0, 0)), (unused, total))
    for name, (unused, total) in most.items():
        yield f"{name} did not learn from {unused} of {total}, where it is most"
    by_splits: dict[str, list[str]] = {}
    for training in trainings:
        if unjudged := training.get("unjudged"):
            splits = "any validation split" if NO_JUDGE in unjudged else "some validation splits"
            by_splits.setdefault(splits, []).append(training["algorithm"])
    for splits, names in by_splits.items():
        yield f"{', '.join(dict.fromkeys(names))} could not be judged by {splits}"

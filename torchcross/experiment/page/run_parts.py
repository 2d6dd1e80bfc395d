"""What a page shows of a run beside its rows: trainings, their curves, and example episodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torchcross.errors import InputError
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.examples import read_example
from torchcross.experiment.run.folder import RunFolder
from torchcross.metrics.reference_values import CHANCE
from torchcross.report import Curve, Example
from torchcross.training import read_log


def trainings_of(run: RunFolder) -> list[dict[str, Any]]:
    """What is known of each training that ended, in the order of the experiment."""
    trainings = [
        {**summary, "folder": log.parent.name}
        for log in sorted((run.path / "train").glob("*/log.csv"))
        if (summary := run.plain(f"train/{log.parent.name}/training.json"))
    ]
    for each in trainings:
        _check_algorithm(run, f"train/{each['folder']}/training.json", each["algorithm"])
    place = run.algorithms.index
    return sorted(
        trainings, key=lambda each: (each["target"], place(each["algorithm"]), each["seed"])
    )


def _check_algorithm(run: RunFolder, file: str, algorithm: str) -> None:
    if algorithm not in run.algorithms:
        raise InputError(
            f"{run.path / file} is of {algorithm!r}, which this run does not have; remove it"
        )


def curves_of(run: RunFolder, trainings: Iterable[Mapping[str, Any]]) -> Iterator[Curve]:
    for training in trainings:
        log = read_log(run.path / "train" / training["folder"] / "log.csv", hashed=run.has_hashes)
        scores = {step: score for step, *_, score in log if score is not None}
        if not scores:
            continue
        method, best = METHODS[training["algorithm"]], training["best_step"]
        group = f"without {training['target']}"
        if method.supervised:
            group = f"{training['target']}, its train split"
        quantity = "validation AUROC of the trained heads (%)"
        if method.make_learner is not None:
            quantity = "validation AUROC over episodes of the sources (%)"
        yield Curve(
            label=training["algorithm"],
            quantity=quantity,
            steps=list(scores),
            values=[100 * score for score in scores.values()],
            group=group,
            best=best if best in scores else None,
            chance=100 * CHANCE["auroc"],
        )


def examples_of(run: RunFolder) -> list[Example]:
    """By target; the algorithms in the order of the experiment."""
    hashed = run.has_hashes
    files = sorted((run.path / "examples").glob("*.npz"))
    examples = [read_example(path, hashed=hashed) for path in files]
    for path, example in zip(files, examples, strict=True):
        _check_algorithm(run, f"examples/{path.name}", example.algorithm)
    place = run.algorithms.index
    return sorted(examples, key=lambda each: (each.target, place(each.algorithm)))

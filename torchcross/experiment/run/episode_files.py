"""The plan files of a run: which images its episodes drew, for all rows of a target and shots.

A row's record of its episodes (a JSON file in the same folder) names the file and has the digest of
its plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torchcross.data import TaskSource
from torchcross.data.plan_files.digest import PlanDigest
from torchcross.data.plan_files.drawn_images import (
    DrawnImages,
    read_drawn_images,
    write_drawn_images,
)
from torchcross.errors import DamageError, InputError, PlanFileError, ReadError, TorchcrossError
from torchcross.experiment.rows.target_episodes import level_of, target_episodes
from torchcross.experiment.run.cells import RunContext
from torchcross.experiment.run.folder import RunFolder, set_aside
from torchcross.experiment.run.scored_rows import read_scored
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.shots import episode_shots
from torchcross.records.shots import shots_text

PLANS = "plans"
"""The field of a row's record that names its plan file."""

UNREADABLE = (InputError, PlanFileError, ReadError)
"""What a plan file raises that cannot be used."""


def holds_plans(path: Path, digest: str) -> bool:
    """Whether a file holds these plans; one that holds others is set aside."""
    try:
        read_plans(path, [digest])
    except UNREADABLE:
        # Another process may be faster.
        with suppress(FileNotFoundError):
            set_aside(path)
        return False
    return True


def read_plans(path: Path, digests: Sequence[str]) -> DrawnImages:
    """The plans of a file; a DamageError where they are not those that rows were scored on."""
    drawn = read_drawn_images(path)
    if set(digests) - {drawn.digest}:
        raise DamageError(
            f"{path} has the plans of {drawn.source}, on which the rows that name it were not"
            " scored: it is of another run, or a copy of another file; run the same again to make"
            " it again"
        )
    return drawn


def mend_plans(run: RunContext) -> None:
    """Draw the plans again that rows name and that are gone or damaged.

    Data that cannot be read is no error here: the rows are there, and are reported without plans.
    """
    named = named_plans(run.folder)
    for target in run.targets:
        for shots in episode_shots(run.experiment.shots):
            path = run.folder.files.plans(target, shots)
            records = named.get(path.stem, [])
            digests = [record["digest"] for record in records]
            problem = _problem(path, digests) if records else ""
            if not problem:
                continue
            if path.is_file():
                set_aside(path)
            try:
                source = run.collection.target(target)
                draw_again(path, source, run.experiment, shots, records[0]["episodes"], digests)
            except (TorchcrossError, OSError) as error:
                run.say(f"note: {path.name} is not made again: {error}")
            else:
                run.say(f"damaged: {path.name}, the plans of {target}, is made again: {problem}")


def draw_again(
    path: Path,
    source: TaskSource,
    experiment: Experiment,
    shots: int,
    count: int,
    digests: Sequence[str],
) -> None:
    """Draw the plans from the labels and write them, if rows were scored on these very plans."""
    sampler = target_episodes(source, experiment, count).sampler
    level = level_of(sampler, experiment, shots)
    plans = level.batch(range(count))
    digest = PlanDigest(source.fingerprint())
    for plan in plans:
        digest.add(plan)
    if set(digests) != {digest.hexdigest()}:
        raise InputError(
            f"{source.name} at {shots_text(shots)} gives other episodes than the rows"
            " were scored on: its labels, or the way of drawing, are not those of the run;"
            " give the data of the run"
        )
    write_drawn_images(path, level, plans)


def named_plans(folder: RunFolder) -> dict[str, list[dict[str, Any]]]:
    """Name of a plan file -> the records of the rows that name it; damaged records name none."""
    named: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((folder.path / "episodes").glob("*.json")):
        try:
            record = read_scored(path, hashed=False)
        except UNREADABLE:
            continue
        name, count = record.get(PLANS), record.get("episodes")
        if isinstance(name, str) and type(count) is int:
            named.setdefault(name, []).append(record)
    return named


def _problem(path: Path, digests: Sequence[str]) -> str:
    if not path.is_file():
        return "it is gone."
    try:
        read_plans(path, digests)
    except UNREADABLE as error:
        return f"{error}. The file is kept under a name that ends in .damaged."
    return ""

"""experiment.json: what a run was asked for when it began; it goes on with that, or is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchcross._kit.content_hash import damage_error
from torchcross.errors import InputError
from torchcross.experiment.run.change_words import listed_differences
from torchcross.experiment.run.growth import changes_beyond_growth, describe_change
from torchcross.experiment.run.identity import differences
from torchcross.experiment.run.json_files import NEEDED, read_hashed_json
from torchcross.experiment.run.recorded_plugins import plugin_names
from torchcross.experiment.settings.plain import with_backbone_table

EXPERIMENT = "experiment.json"
FORMAT = 2
"""Of runs whose files all have content hashes; runs of earlier versions say nothing of it."""


def read_experiment_record(path: Path) -> dict[str, Any]:
    record, has_hash = read_hashed_json(path / EXPERIMENT)
    if record.get("format", FORMAT) != FORMAT:
        raise InputError(
            f"{path} is a run of format {record['format']!r}, and this version reads format"
            f" {FORMAT}; update torchcross to read it"
        )
    if "format" in record and not has_hash:
        raise damage_error(path / EXPERIMENT, NEEDED, lost=True)
    return record


@dataclass(frozen=True)
class BegunRun:
    """What a run began with: a preset, its version, and a digest of what decides rows."""

    preset: str
    version: int
    digest: str


def begun_run(path: Path) -> BegunRun:
    """What the run in this folder began with; runs of the earliest versions have version 1."""
    record = read_experiment_record(path)
    plain = record.get("experiment")
    plain = plain if isinstance(plain, dict) else {}
    version = plain.get("preset_version", 1)
    return BegunRun(
        str(plain.get("preset", "")),
        version if type(version) is int else 1,
        str(record.get("digest", "")),
    )


def refuse_other_experiment(path: Path, record: dict[str, Any]) -> dict[str, Any] | None:
    """The record with which the run of this folder goes on, where it has further cells; else None.

    A folder of another experiment is refused.
    """
    existing = read_experiment_record(path)
    if existing.get("digest") == record["digest"]:
        return None
    before = with_backbone_table(existing.get("decides", existing.get("experiment", {})))
    changed = list(differences(before, record["decides"]))
    others = list(changes_beyond_growth(before, record["decides"]))
    if changed and not others:
        # The rows that are there have the run's name in them.
        return {**record, "run": existing.get("run", record["run"])}
    now = record["decides"]
    names = plugin_names(path, record["experiment"].get("plugins", []))
    listed = listed_differences(
        others, lambda name: describe_change(name, before, now, names), before, now
    )
    raise InputError(
        f"{path} holds a run of another experiment:{listed}\n{path / EXPERIMENT} has all settings"
        " of that run. Give them, or --out another folder"
    )


def no_run_error(path: Path) -> InputError:
    """What to do with a folder that is no run."""
    from torchcross.transfer.studies import STUDY

    if (path / STUDY).is_file():
        return InputError(
            f"{path} is a transfer study, and no run: `torchcross transfer report` writes its page,"
            " and `torchcross transfer run` goes on with it"
        )
    return InputError(
        f"{path} is no run: it has no {EXPERIMENT}; give a folder that `torchcross run` made"
    )

"""experiment.json: what a run was asked for when it began; it goes on with that, or is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchcross._kit.content_hash import damage_error
from torchcross.errors import InputError
from torchcross.experiment.run.identity import differences
from torchcross.experiment.run.json_files import NEEDED, read_hashed_json
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


def refuse_other_experiment(path: Path, record: dict[str, Any]) -> None:
    existing = read_experiment_record(path)
    if existing.get("digest") != record["digest"]:
        before = with_backbone_table(existing.get("decides", existing.get("experiment", {})))
        changed = list(differences(before, record["decides"]))
        more = f" and {len(changed) - 6} more" if len(changed) > 6 else ""
        raise InputError(
            f"{path} holds a run of another experiment ({', '.join(changed[:6])}{more} differ);"
            " give another folder"
        )

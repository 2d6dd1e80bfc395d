"""The settings of a study, read back from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from torchcross.errors import InputError
from torchcross.transfer.studies.settings import (
    StudyDesign,
    StudyReptile,
    StudyScores,
    StudySettings,
    StudyTraining,
)

_Section = TypeVar("_Section", StudyDesign, StudyReptile, StudyScores, StudyTraining)


def settings_of_plain(plain: object, path: Path) -> StudySettings:
    """The settings that `plain_settings` wrote; `path` is the file that they stand in."""
    sections = _mapping(plain, path)
    try:
        return StudySettings(
            study=_section(StudyDesign, sections.get("study"), path),
            backbone=_mapping(sections.get("backbone"), path),
            channels=sections.get("channels", 3),
            source_training=_section(StudyTraining, sections.get("source_training"), path),
            fine_tuning=_section(StudyTraining, sections.get("fine_tuning"), path),
            # Studies of before had no source that is learned by Reptile.
            reptile=_section(StudyReptile, sections.get("reptile", {}), path),
            scores=_section(StudyScores, sections.get("scores"), path),
        )
    except (TypeError, AttributeError) as error:
        raise _unreadable(path, str(error)) from error


def _section(kind: type[_Section], values: object, path: Path) -> _Section:
    """Settings that are not in the file have the values by which earlier studies went."""
    plain = _mapping(values, path)
    if unknown := sorted(plain.keys() - {each.name for each in fields(kind)}):
        raise _unreadable(path, f"the settings {unknown} are not known")
    lists = {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
    return kind(**{**plain, **lists})


def _mapping(value: object, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _unreadable(path, f"{value!r} is no section of settings")
    return value


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} holds no settings of a study that this version can read: {reason}. Read it with"
        " the version that made it"
    )

"""What computed the parts of a study: each part says on which processor, with which versions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

from torchcross._kit import tensor_files
from torchcross._kit.content_hash import damage_error
from torchcross._kit.counts import count_text
from torchcross.transfer.studies.folder import ADVICE, StudyFolder, read_record
from torchcross.transfer.studies.machine import MADE_WITH, PACKAGES, UNKNOWN
from torchcross.transfer.studies.units import SourceTraining, StudyPair, Work, works_of

Surroundings: TypeAlias = Mapping[str, str]


@final
@dataclass(frozen=True)
class PartsMade:
    """The parts of a study that were made in the same surroundings.

    surroundings  empty where the parts do not say it: they are of an earlier version
    """

    surroundings: Surroundings
    counts: Mapping[str, int]

    @property
    def parts(self) -> str:
        return ", ".join(count_text(count, kind) for kind, count in self.counts.items())

    def as_plain(self) -> dict[str, str]:
        names = dict.fromkeys(("processor", *PACKAGES, *self.surroundings))
        return {
            "parts": self.parts,
            **{name: self.surroundings.get(name, UNKNOWN) for name in names},
        }


def parts_by_surroundings(study: StudyFolder) -> list[PartsMade]:
    """What the parts of a study that are there were made with, the most frequent first."""
    counts: dict[tuple[tuple[str, str], ...], Counter[str]] = {}
    for work in works_of(study.settings).values():
        if (study.path / work.file).is_file():
            key = tuple(_made_with(study.path / work.file, work).items())
            counts.setdefault(key, Counter())[_kind_of(work)] += 1
    ordered = sorted(counts.items(), key=lambda item: -item[1].total())
    return [PartsMade(dict(key), dict(count)) for key, count in ordered]


def surroundings_caution(made: Sequence[PartsMade]) -> str:
    """What differs between the parts of one study; empty where nothing does."""
    if len(made) < 2:
        return ""
    listed = "; ".join(f"{each.parts} with {_differing(each, made)}" for each in made)
    return (
        f"The parts of this study were not all made with the same processor and versions: {listed}."
        " A difference between two sources can be one between these. To be sure, make the study in"
        " another folder with one of them."
    )


def _differing(one: PartsMade, made: Sequence[PartsMade]) -> str:
    """Of one group of parts, what is not the same in all groups."""
    names = list(dict.fromkeys(name for each in made for name in each.as_plain()))
    plain = [each.as_plain() for each in made]
    differing = [
        name for name in names if name != "parts" and len({each.get(name) for each in plain}) > 1
    ]
    own = one.as_plain()
    return ", ".join(f"{name} {own.get(name, UNKNOWN)}" for name in differing)


def _made_with(file: Path, work: Work) -> dict[str, str]:
    known: Any = None
    if isinstance(work, SourceTraining):
        text = tensor_files.read_metadata(file).get(MADE_WITH, "{}")
        with suppress(ValueError, RecursionError):
            known = json.loads(text)
    else:
        known = read_record(file).get(MADE_WITH, {})
    if not isinstance(known, Mapping):
        raise damage_error(file, ADVICE)
    return {str(name): str(value) for name, value in sorted(known.items())}


def _kind_of(work: Work) -> str:
    if isinstance(work, SourceTraining):
        return "networks"
    return "cells" if isinstance(work, StudyPair) else "embeddings"


def made_with_lines(study: StudyFolder) -> Iterator[str]:
    """For a report."""
    for each in parts_by_surroundings(study):
        plain = each.as_plain()
        parts = plain.pop("parts")
        yield f"{parts}: {', '.join(f'{name} {value}' for name, value in plain.items())}"

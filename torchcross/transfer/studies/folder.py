"""The folder of a study: its settings, its cells, and what is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from torchcross._kit.content_hash import damage_error, split_hash
from torchcross.errors import InputError
from torchcross.transfer.results import StudyCell, StudyResults
from torchcross.transfer.similarity import TaskEmbedding
from torchcross.transfer.source_target import SourceTargetTable
from torchcross.transfer.studies.inputs import input_changes
from torchcross.transfer.studies.job import write_record
from torchcross.transfer.studies.settings import StudySettings
from torchcross.transfer.studies.units import (
    StudyPair,
    TaskEmbeddingWork,
    plain_settings,
    works_of,
)

STUDY: Final = "study.json"
_MAY_CHANGE: Final = frozenset(
    {
        *(("study", name) for name in ("sources", "targets", "seeds", "self_pairs", "metric")),
        # Their contents are inputs.
        *(("study", "weights"), ("scores", "probe_weights")),
    }
)
_ADVICE: Final = "remove it and run the study again: it is made anew"


class StudyFolder:
    """A folder that `transfer run` made, or is to make."""

    def __init__(self, path: str | Path, settings: StudySettings) -> None:
        self.path, self.settings = Path(path), settings

    def begin(self, inputs: Mapping[str, str]) -> None:
        """Write what the study is; refuse a folder of another one.

        Sources, targets and seeds may be added: what is there is kept.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        now: dict[str, Any] = {"settings": plain_settings(self.settings), "inputs": dict(inputs)}
        file = self.path / STUDY
        if file.is_file():
            before = read_record(file)
            if changed := list(_changes(before, now)):
                raise InputError(
                    f"{self.path} has another study: {'; '.join(changed)}. Give another folder, or"
                    " the settings and data of before"
                )
            now["inputs"] = {**before["inputs"], **now["inputs"]}
        elif any(self.path.iterdir()):
            known = {"jobs"}
            if others := sorted(
                each.name for each in self.path.iterdir() if each.name not in known
            ):
                raise InputError(
                    f"{self.path} is not empty and no study: {others[:3]}; give another folder"
                )
        write_record(file, now)

    # -- what there is -----------------------------------------------------------------------------

    def pairs(self) -> Iterator[tuple[StudyPair, dict[str, Any] | None]]:
        """Every pair of the study, with its record where it is done."""
        for work in works_of(self.settings).values():
            if isinstance(work, StudyPair):
                file = self.path / work.file
                yield work, read_record(file) if file.is_file() else None

    def results(self, metric: str | None = None) -> StudyResults:
        """The values of a metric, by default the leading one."""
        name = metric or self.settings.study.metric
        cells = [
            StudyCell(pair.source, pair.target, pair.fold, pair.seed, _metric(record, name, pair))
            for pair, record in self.pairs()
        ]
        return StudyResults.of_cells(cells)

    def score_tables(self) -> dict[str, SourceTargetTable]:
        """By score, its mean over folds and seeds; missing where one is undefined or missing."""
        records = list(self.pairs())
        return {name: self._score_table(name, records) for name in self.settings.scores.names}

    def _score_table(
        self, name: str, records: list[tuple[StudyPair, dict[str, Any] | None]]
    ) -> SourceTargetTable:
        values: dict[tuple[str, str], list[float]] = {}
        for pair, record in records:
            score = None if record is None else record["scores"].get(name, {}).get("value")
            number = math.nan if score is None else float(score)
            values.setdefault((pair.source, pair.target), []).append(number)
        return SourceTargetTable.of_pairs(
            {pair: float(np.mean(numbers)) for pair, numbers in values.items()}
        )

    def embeddings(self) -> dict[str, tuple[TaskEmbedding, float]]:
        """By dataset, its embedding and its noise floor; those that are not made are left out."""
        embeddings = {}
        for work in works_of(self.settings).values():
            if isinstance(work, TaskEmbeddingWork) and (self.path / work.file).is_file():
                record = read_record(self.path / work.file)
                embedding = TaskEmbedding(
                    record["dataset"],
                    record["probe"],
                    np.array(record["values"]),
                    np.array(record["scale"]),
                    record["images"],
                    tuple((name, count) for name, count in record["layers"]),
                    tuple(record["absent"]),
                )
                embeddings[work.dataset] = (embedding, float(record["noise floor"]))
        return embeddings


def _metric(record: Mapping[str, Any] | None, name: str, pair: StudyPair) -> float:
    if record is None:
        return math.nan
    if name not in record["metrics"]:
        raise InputError(
            f"{pair.target!r} has no metric {name!r}; there are {sorted(record['metrics'])}"
        )
    value = record["metrics"][name]["value"]
    return math.nan if value is None else float(value)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for section, values in now["settings"].items():
        old = before["settings"].get(section)
        if not isinstance(values, dict) or not isinstance(old, dict):
            if old != values:
                yield f"{section} was {old!r} and is {values!r}"
            continue
        for name, value in values.items():
            if (section, name) not in _MAY_CHANGE and old.get(name) != value:
                yield f"{section}.{name} was {old.get(name)!r} and is {value!r}"
    yield from input_changes(before["inputs"], now["inputs"])


def read_record(path: Path) -> dict[str, Any]:
    """The fields of a file of a study; a file that is not as it was written is an error."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); {_ADVICE}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no mapping; {_ADVICE}")
    fields, has_hash = split_hash(path, content, _ADVICE)
    if not has_hash:
        raise damage_error(path, _ADVICE, lost=True)
    return fields

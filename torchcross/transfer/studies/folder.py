"""The folder of a study: its settings, its cells, and what is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from torchcross._kit.content_hash import damage_error, split_hash
from torchcross._kit.counts import count_text
from torchcross._kit.plugin_files import PluginFile
from torchcross.errors import InputError
from torchcross.transfer.results import StudyCell, StudyResults
from torchcross.transfer.similarity import TaskEmbedding, distance
from torchcross.transfer.source_target import SourceTargetTable, dataset_of
from torchcross.transfer.studies.inputs import (
    datasets_of,
    input_changes,
    missing_inputs,
    plugin_files,
)
from torchcross.transfer.studies.job import write_record
from torchcross.transfer.studies.settings import StudySettings
from torchcross.transfer.studies.stored_settings import settings_of_plain
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
ADVICE: Final = "remove it and run the study again: it is made anew"


class StudyFolder:
    """A folder that `transfer run` made, or is to make."""

    def __init__(self, path: str | Path, settings: StudySettings) -> None:
        self.path, self.settings = Path(path), settings

    @classmethod
    def open(cls, path: str | Path) -> StudyFolder:
        """The folder of a study that was begun, with its settings of then."""
        file = Path(path) / STUDY
        if not file.is_file():
            raise InputError(
                f"{path} is no folder of a study: it has no {STUDY}; give one that `torchcross"
                " transfer run` made"
            )
        return cls(path, settings_of_plain(read_record(file).get("settings"), file))

    def inputs(self) -> dict[str, str]:
        """The digests of datasets and weights, as the study was begun with them."""
        inputs = read_record(self.path / STUDY).get("inputs", {})
        return {str(name): str(digest) for name, digest in inputs.items()}

    def plugins(self) -> list[PluginFile]:
        """The plugin files that the study was made with."""
        return plugin_files(self.inputs())

    def synthetic_caution(self) -> str:
        """How many of the study's datasets are made up; empty where none is, or nobody knows."""
        datasets = datasets_of(self.settings)
        made_up = set(read_record(self.path / STUDY).get("synthetic", ())).intersection(datasets)
        if not made_up:
            return ""
        verb = "is" if len(datasets) == 1 else "are"
        return (
            f"Synthetic data: {len(made_up)} of {count_text(len(datasets), 'datasets')} {verb} made"
            " up."
        )

    def fraction_note(self) -> str:
        """Which fraction results and scores are about; empty where it is the whole."""
        design = self.settings.study
        if design.fractions == (1.0,):
            return ""
        shown = f"{100 * design.largest_fraction:g}% of each training part"
        if len(design.fractions) == 1:
            return f"Networks are fine-tuned on {shown}, and scores see the same images."
        return (
            f"Rankings, gains and correlations are about networks that are fine-tuned on {shown},"
            " the largest fraction; the tables of test splits show every fraction."
        )

    def begin(
        self, inputs: Mapping[str, str], synthetic: Sequence[str] = (), device: str = ""
    ) -> None:
        """Write what the study is; refuse a folder of another one.

        Sources, targets and seeds may be added: what is there is kept. Settings that the folder
        does not hold, because its study was begun before there were any, have their defaults.
        `synthetic` are the datasets that are made up. `device` is the type of the device that
        makes what is missing: "cpu" or "cuda"; "" where nothing is missing, or it is not known.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        now: dict[str, Any] = {
            "settings": plain_settings(self.settings),
            "inputs": dict(inputs),
            "synthetic": list(synthetic),
        }
        if device:
            now["device"] = device
        file = self.path / STUDY
        if file.is_file():
            before = read_record(file)
            before["settings"] = plain_settings(settings_of_plain(before.get("settings"), file))
            if changed := list(_changes(before, now)):
                raise InputError(
                    f"{self.path} has another study: {'; '.join(changed)}. Give another folder, or"
                    " the settings, data and kind of device of before"
                )
            now = {**before, **now, "inputs": {**before["inputs"], **now["inputs"]}}
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

    def results(self, metric: str | None = None, *, fraction: float | None = None) -> StudyResults:
        """The values of a metric, by default the leading one, and the largest fraction."""
        name = metric or self.settings.study.metric
        share = self.settings.study.largest_fraction if fraction is None else fraction
        cells = [
            StudyCell(
                pair.source, pair.target, pair.fold, pair.seed, metric_value(record, name, pair)
            )
            for pair, record in self.pairs()
            if pair.fraction == share
        ]
        return StudyResults.of_cells(cells)

    def score_results(self) -> dict[str, StudyResults]:
        """By score, its value in each cell; NaN where it is undefined or missing."""
        share = self.settings.study.largest_fraction
        records = [(pair, record) for pair, record in self.pairs() if pair.fraction == share]
        return {
            name: StudyResults.of_cells(
                StudyCell(pair.source, pair.target, pair.fold, pair.seed, _score(record, name))
                for pair, record in records
            )
            for name in self.settings.scores.names
        }

    def score_tables(self) -> dict[str, SourceTargetTable]:
        """By score, its mean over folds and seeds; missing where one is undefined or missing."""
        return {name: results.matrix() for name, results in self.score_results().items()}

    def source_sizes(self) -> dict[str, int]:
        """How many images each source learned from, of what is done.

        A file of weights counts as larger than every dataset: nobody says what it learned from.
        """
        design = self.settings.study
        sizes = dict.fromkeys(design.names, 0)
        for pair, record in self.pairs():
            if record is not None:
                sizes[pair.source] = record["images"].get("source", 0)
        return {**sizes, **dict.fromkeys(design.weights, max(sizes.values()) + 1)}

    def embeddings(self) -> dict[str, tuple[TaskEmbedding, float]]:
        """By dataset, one embedding and its noise floor; those that are not made are left out.

        It is of the images that a source learns from, or of the first training part of a target
        that is no source.
        """
        embeddings: dict[str, tuple[TaskEmbedding, float]] = {}
        for work, record in self._embedding_records():
            if work.dataset not in embeddings and record["noise floor"] is not None:
                floor = float(record["noise floor"])
                embeddings[work.dataset] = (_embedding_of(record), floor)
        return embeddings

    def task_distances(self, kind: str = "cosine") -> SourceTargetTable:
        """From the images of each source to each target's training parts: the mean over the parts.

        Missing for files of weights, for the random start and where an embedding is missing.
        """
        design = self.settings.study
        embeddings = {
            (work.dataset, work.fold): _embedding_of(record)
            for work, record in self._embedding_records()
        }

        def mean(source: str, target: str) -> float:
            one = embeddings.get((dataset_of(source), None))
            parts = [embeddings.get((target, part)) for part in range(design.test_parts)]
            made = [part for part in parts if part is not None]
            if one is None or len(made) < len(parts):
                return math.nan
            return float(np.mean([distance(one, part, kind) for part in made]))

        return SourceTargetTable.of_function(design.names, design.targets, mean)

    def _embedding_records(self) -> Iterator[tuple[TaskEmbeddingWork, dict[str, Any]]]:
        for work in works_of(self.settings).values():
            if isinstance(work, TaskEmbeddingWork) and (self.path / work.file).is_file():
                yield work, read_record(self.path / work.file)


def _embedding_of(record: Mapping[str, Any]) -> TaskEmbedding:
    return TaskEmbedding(
        record["dataset"],
        record["probe"],
        np.array(record["values"]),
        np.array(record["scale"]),
        record["images"],
        tuple((name, count) for name, count in record["layers"]),
        tuple(record["absent"]),
    )


def _score(record: Mapping[str, Any] | None, name: str) -> float:
    value = None if record is None else record["scores"].get(name, {}).get("value")
    return math.nan if value is None else float(value)


def metric_value(record: Mapping[str, Any] | None, name: str, pair: StudyPair) -> float:
    """Of a cell; NaN where it is missing or undefined."""
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
    devices = [each.get("device") for each in (before, now)]
    if None not in devices and devices[0] != devices[1]:
        yield "machine.device was {!r} and is {!r}".format(*devices)
    yield from input_changes(before["inputs"], now["inputs"])
    yield from missing_inputs(before["inputs"], now["inputs"])


def read_record(path: Path) -> dict[str, Any]:
    """The fields of a file of a study; a file that is not as it was written is an error."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); {ADVICE}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no mapping; {ADVICE}")
    fields, has_hash = split_hash(path, content, ADVICE)
    if not has_hash:
        raise damage_error(path, ADVICE, lost=True)
    return fields

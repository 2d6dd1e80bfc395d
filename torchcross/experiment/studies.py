"""A transfer study from a TOML file: its settings, and the collection that its data comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torchcross.data import TaskSource
from torchcross.errors import InputError
from torchcross.experiment.data_formats import Collection, open_collection
from torchcross.experiment.settings.model_settings import BackboneSettings
from torchcross.experiment.settings.reading import read_toml
from torchcross.experiment.settings.typed_values import section_of_values
from torchcross.jobs import InlineEngine, JobEngine, JobFolder, job_engine_named
from torchcross.jobs.engines.local import usable_cores
from torchcross.training.options import table_option
from torchcross.transfer.studies import (
    SCRATCH,
    StudyDesign,
    StudyScores,
    StudySettings,
    StudyTraining,
)
from torchcross.transfer.studies.training import starting_network


@dataclass(frozen=True, kw_only=True)
class StudyDataSettings:
    """Where the datasets are.

    folder    the folder that holds the datasets
    format    the format of the datasets: a name of the entry points `torchcross.collections`
    channels  1 or 3: the channels that every image is converted to
    """

    folder: str
    format: str = "medimeta"
    channels: Literal[1, 3] = 3


@dataclass(frozen=True, kw_only=True)
class StudyModel:
    """The network that all sources are learned by: a name of `torchcross.backbones`, or a table."""

    backbone: BackboneSettings = field(default_factory=BackboneSettings)


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """The sections of the TOML file of a study."""

    data: StudyDataSettings
    study: StudyDesign
    model: StudyModel = field(default_factory=StudyModel)
    source_training: StudyTraining = field(default_factory=StudyTraining)
    fine_tuning: StudyTraining = field(default_factory=StudyTraining)
    scores: StudyScores = field(default_factory=StudyScores)
    engine: Mapping[str, Any] = table_option()


@dataclass(frozen=True)
class CollectionData:
    """The datasets of a collection, opened where they are needed."""

    folder: str
    format: str
    channels: Literal[1, 3]

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker may have another working folder.
        return CollectionData, (str(Path(self.folder).absolute()), self.format, self.channels)

    @cached_property
    def collection(self) -> Collection:
        return open_collection(self.format, self.folder, channels=self.channels)

    def open(self, name: str) -> TaskSource:
        return self.collection.target(self.collection.target_name(name))

    def overlap(self, source: str, target: str) -> str:
        """Why the collection leaves a source out where `target` is the target."""
        reasons = self.collection.why(self.collection.target_name(target))
        dataset = self.collection.target_name(source).partition("/")[0]
        reason = reasons.get(dataset, "")
        return "" if reason.startswith("source") else reason


@dataclass(frozen=True)
class Study:
    """What a TOML file of a study says: settings, data, and the engine that makes it."""

    settings: StudySettings
    data: CollectionData
    engine: Mapping[str, Any]


def read_study(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read a study; `overrides` by dotted name ("study.folds") win over the file.

    Relative folders and files are looked for beside the TOML file.
    """
    path = Path(path)
    values = read_toml(path)
    _put_beside(values, path.parent)
    for name, value in (overrides or {}).items():
        section, _, last = name.rpartition(".")
        part = values.setdefault(section, {}) if section else values
        if not isinstance(part, dict):
            raise InputError(f"{section} is {part!r}; {name} needs a section")
        part[last] = value
    try:
        return _study_of(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _put_beside(values: Mapping[str, Any], folder: Path) -> None:
    """Look for the data folder and the files of weights beside the TOML file."""
    data, design, scores = (values.get(name, {}) for name in ("data", "study", "scores"))
    if isinstance(data, dict) and isinstance(data.get("folder"), str):
        data["folder"] = str(folder / data["folder"])
    if isinstance(design, dict) and isinstance(design.get("weights"), dict):
        design["weights"] = {
            name: str(folder / file) if isinstance(file, str) else file
            for name, file in design["weights"].items()
        }
    if isinstance(scores, dict) and scores.get("probe_weights"):
        scores["probe_weights"] = str(folder / str(scores["probe_weights"]))


def _study_of(values: Mapping[str, Any]) -> Study:
    model = values.get("model", {})
    if isinstance(model, dict) and isinstance(model.get("backbone"), str):
        values = {**values, "model": {**model, "backbone": {"name": model["backbone"]}}}
    file: StudyFile = section_of_values(StudyFile, values, "")
    data = CollectionData(file.data.folder, file.data.format, file.data.channels)
    named = data.collection.target_name
    design = replace(
        file.study,
        sources=tuple(name if name == SCRATCH else named(name) for name in file.study.sources),
        targets=tuple(named(name) for name in file.study.targets),
    )
    for name, weights in design.weights.items():
        if not Path(weights).is_file():
            raise InputError(f"study.weights.{name} is {weights!r}, which is no file")
    settings = StudySettings(
        study=design,
        backbone=file.model.backbone.as_table(),
        channels=file.data.channels,
        source_training=file.source_training,
        fine_tuning=file.fine_tuning,
        scores=file.scores,
    )
    # A backbone that cannot be built or filled is an error before anything is written.
    for weights in ("", *design.weights.values()):
        starting_network(settings, 0, weights)
    return Study(settings, data, dict(file.engine))


def engine_of_study(study: Study, out: str | Path, jobs: int | None) -> JobEngine:
    """The engine that the file names, or `jobs` processes of this machine; None: one per core."""
    settings = dict(study.engine)
    name = str(settings.pop("name", "local"))
    if name != "local":
        return job_engine_named(name, settings, JobFolder(out).engine_folder(name).absolute())
    count = usable_cores() if jobs is None else jobs
    if count == 1:
        return InlineEngine()
    return job_engine_named("local", {"jobs": count, **settings})

"""A transfer study from a TOML file: its settings, and the collection that its data comes from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torchcross._kit.plugin_files import load_plugins
from torchcross._kit.suggestions import unknown_name
from torchcross.data import TaskSource
from torchcross.errors import InputError
from torchcross.experiment.data_formats import Collection, open_collection
from torchcross.experiment.device import machine_elsewhere, machine_of
from torchcross.experiment.engine_settings import engine_of_settings
from torchcross.experiment.settings.model_settings import BackboneSettings
from torchcross.experiment.settings.reading import read_toml
from torchcross.experiment.settings.schema import MachineSettings
from torchcross.experiment.settings.study_presets import STUDY_PRESETS
from torchcross.experiment.settings.typed_values import section_of_values
from torchcross.jobs import JobEngine
from torchcross.jobs.engines.local import usable_cores
from torchcross.training.options import table_option
from torchcross.transfer.source_target import dataset_of
from torchcross.transfer.studies import (
    SCRATCH,
    StudyDesign,
    StudyMachine,
    StudyReptile,
    StudyScores,
    StudySettings,
    StudyTraining,
)
from torchcross.transfer.studies.data import Split
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
    """The network that all sources are learned by.

    backbone  a name of `torchcross.backbones`, or a table of it and the options of its function
    """

    backbone: BackboneSettings = field(default_factory=BackboneSettings)


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """The sections of the TOML file of a study.

    machine  where its networks are trained
    plugins  Python files that add backbones, targets or losses: `["mine.py"]`. A study goes on only
             while their content is the same
    engine   what makes the study, such as jobs = 4: as in the file of an experiment
    """

    data: StudyDataSettings
    study: StudyDesign
    model: StudyModel = field(default_factory=StudyModel)
    source_training: StudyTraining = field(default_factory=StudyTraining)
    fine_tuning: StudyTraining = field(default_factory=StudyTraining)
    reptile: StudyReptile = field(default_factory=StudyReptile)
    scores: StudyScores = field(default_factory=StudyScores)
    machine: StudyMachine = field(default_factory=StudyMachine)
    plugins: tuple[str, ...] = ()
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

    def part(self, name: str, split: Split) -> TaskSource:
        return self.collection.target(self.collection.target_name(name), split=split)

    def is_synthetic(self, name: str) -> bool:
        is_synthetic = getattr(self.collection, "is_synthetic", None)
        return is_synthetic is not None and bool(is_synthetic(self.collection.target_name(name)))

    def overlap(self, source: str, target: str) -> str:
        """Why the collection leaves a source out where `target` is the target."""
        reasons = self.collection.why(self.collection.target_name(target))
        dataset = self.collection.target_name(source).partition("/")[0]
        reason = reasons.get(dataset, "")
        return "" if reason.startswith("source") else reason


@dataclass(frozen=True)
class Study:
    """What a TOML file of a study says: settings, data, and what makes it, and where."""

    settings: StudySettings
    data: CollectionData
    machine: StudyMachine
    engine: Mapping[str, Any]
    plugins: tuple[str, ...] = ()


def read_study(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read a study; `overrides` by dotted name ("study.folds") win over the file.

    Relative folders and files are looked for beside the TOML file.
    """
    path = Path(path)
    values = read_toml(path)
    _put_beside(values, path.parent)
    _override(values, overrides or {})
    try:
        return study_of_values(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def study_of_preset(name: str, overrides: Mapping[str, Any]) -> Study:
    """A study of `STUDY_PRESETS`; `overrides` by dotted name win, and give `data.folder`."""
    if name not in STUDY_PRESETS:
        raise InputError(unknown_name("preset of studies", name, STUDY_PRESETS))
    values: dict[str, Any] = copy.deepcopy(dict(STUDY_PRESETS[name]))
    _override(values, overrides)
    return study_of_values(values)


def _override(values: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    for name, value in overrides.items():
        *sections, last = name.split(".")
        part: Any = values
        for section in sections:
            part = part.setdefault(section, {})
            if not isinstance(part, dict):
                raise InputError(f"{section} is {part!r}; {name} needs a section")
        part[last] = value


def _put_beside(values: dict[str, Any], folder: Path) -> None:
    """Look for the data folder, weights and plugins beside the TOML file."""
    data, design, scores = (values.get(name, {}) for name in ("data", "study", "scores"))
    if isinstance(data, dict) and isinstance(data.get("folder"), str):
        data["folder"] = str(folder / data["folder"])
    if isinstance(design, dict) and isinstance(design.get("weights"), dict):
        design["weights"] = {
            name: str(folder / file) if isinstance(file, str) else file
            for name, file in design["weights"].items()
        }
    if isinstance(plugins := values.get("plugins"), list):
        values["plugins"] = [
            str(folder / file) if isinstance(file, str) else file for file in plugins
        ]
    if isinstance(scores, dict) and scores.get("probe_weights"):
        scores["probe_weights"] = str(folder / str(scores["probe_weights"]))


def study_sections(values: Mapping[str, Any]) -> StudyFile:
    """The sections of a study, from plain values; a backbone may be a name."""
    model = values.get("model", {})
    if isinstance(model, dict) and isinstance(model.get("backbone"), str):
        values = {**values, "model": {**model, "backbone": {"name": model["backbone"]}}}
    sections: StudyFile = section_of_values(StudyFile, values, "")
    return sections


def study_of_values(values: Mapping[str, Any]) -> Study:
    """The study of the sections of a TOML file."""
    file = study_sections(values)
    load_plugins(file.plugins)
    data = CollectionData(file.data.folder, file.data.format, file.data.channels)
    named = data.collection.target_name
    design = replace(
        file.study,
        sources=tuple(full_source_name(name, data) for name in file.study.sources),
        targets=tuple(named(name) for name in file.study.targets),
    )
    files = {f"study.weights.{name}": path for name, path in design.weights.items()}
    if file.scores.probe_weights:
        files["scores.probe_weights"] = file.scores.probe_weights
    for name, weights in files.items():
        if not Path(weights).is_file():
            raise InputError(f"{name} is {weights!r}, which is no file; give a file of weights")
    settings = StudySettings(
        study=design,
        backbone=file.model.backbone.as_table(),
        channels=file.data.channels,
        source_training=file.source_training,
        fine_tuning=file.fine_tuning,
        reptile=file.reptile,
        scores=file.scores,
    )
    # A backbone that cannot be built or filled is an error before anything is written.
    for weights in ("", *files.values()):
        starting_network(settings, 0, weights)
    return Study(settings, data, file.machine, dict(file.engine), file.plugins)


def full_source_name(source: str, data: CollectionData) -> str:
    """The name of a source with its dataset's full name."""
    if source == SCRATCH:
        return source
    dataset = dataset_of(source)
    return source.removesuffix(dataset) + data.collection.target_name(dataset)


def engine_of_study(study: Study, out: str | Path) -> JobEngine:
    """The engine that the file names, or processes of this machine, by default one per core.

    A device that is not where units are made is refused.
    """
    device = study.machine.device
    engine = engine_of_settings(study.engine, out, None, usable_cores, device)
    settings = MachineSettings(device=device)
    if engine.is_here:
        machine_of(settings)
    else:
        machine_elsewhere(settings, str(study.engine["name"]))
    return engine

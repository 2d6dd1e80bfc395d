"""From sources and targets to results: make what is missing, and read what is there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torchcross._kit.plugin_files import load_plugins
from torchcross.backbones import Backbone
from torchcross.data import TaskSource
from torchcross.errors import InputError
from torchcross.jobs import InlineEngine, JobEngine, JobFolder, UnitFailure, run_job
from torchcross.transfer.results import StudyResults
from torchcross.transfer.source_target import SCRATCH
from torchcross.transfer.studies.checks import check_sources, check_study, common_channels
from torchcross.transfer.studies.data import SourcesByName, StudyData
from torchcross.transfer.studies.folder import StudyFolder
from torchcross.transfer.studies.inputs import (
    fingerprint_inputs,
    plugin_inputs,
    synthetic_datasets,
)
from torchcross.transfer.studies.job import SourceTrainingJob, StudyJob
from torchcross.transfer.studies.left_out import left_out_text
from torchcross.transfer.studies.machine import StudyMachine
from torchcross.transfer.studies.messages import StudyMessages
from torchcross.transfer.studies.settings import (
    StudyDesign,
    StudyScores,
    StudySettings,
    StudyTraining,
)


@dataclass(frozen=True)
class StudyOutcome:
    """The folder of a study after a call, and what failed in it."""

    folder: StudyFolder
    failures: tuple[UnitFailure, ...]
    stopped: bool = False


def run_study(
    settings: StudySettings,
    data: StudyData,
    out: str | Path,
    engine: JobEngine | None = None,
    say: Callable[[str], None] | None = None,
    machine: StudyMachine | None = None,
    plugins: Sequence[str] = (),
) -> StudyOutcome:
    """Make what is missing in the folder of a study. Other processes may do the same meanwhile.

    `say` hears a line for each unit that is done or has failed, and which pairs are left out.
    `plugins` are Python files that processes of the engine load too, with backbones and the like.
    """
    load_plugins(plugins)
    check_study(settings, data)
    if say is not None and (text := left_out_text(settings.study)):
        say(text)
    return _make(_job(settings, data, out, machine, plugins), engine, say)


def train_sources(
    settings: StudySettings,
    data: StudyData,
    out: str | Path,
    engine: JobEngine | None = None,
    say: Callable[[str], None] | None = None,
    machine: StudyMachine | None = None,
    plugins: Sequence[str] = (),
) -> StudyOutcome:
    """Make the networks of a study's sources that are missing, and nothing else of it."""
    load_plugins(plugins)
    check_sources(settings, data)
    return _make(SourceTrainingJob(_job(settings, data, out, machine, plugins)), engine, say)


def _job(
    settings: StudySettings,
    data: StudyData,
    out: str | Path,
    machine: StudyMachine | None,
    plugins: Sequence[str],
) -> StudyJob:
    machine = machine or StudyMachine()
    return StudyJob(settings, data, str(out), machine=machine, plugins=tuple(plugins))


def _make(
    job: StudyJob | SourceTrainingJob,
    engine: JobEngine | None,
    say: Callable[[str], None] | None,
) -> StudyOutcome:
    whole = job.study if isinstance(job, SourceTrainingJob) else job
    engine = engine or InlineEngine()
    if engine.is_here:
        whole.machine.check_here()
    inputs = fingerprint_inputs(whole.settings, whole.data) | plugin_inputs(whole.plugins)
    synthetic = synthetic_datasets(whole.settings, whole.data)
    folder = StudyFolder(whole.out, whole.settings)
    jobs = JobFolder(whole.out)
    with jobs.enter() as presence:
        with presence.turn():
            is_missing = not all(map(jobs.is_done, job.units()))
            # What "auto" is elsewhere, nobody knows here.
            is_known = engine.is_here or whole.machine.device != "auto"
            device = whole.machine.device_type if is_missing and is_known else ""
            folder.begin(inputs, synthetic, device)
            if not presence.others():
                # Versions and hardware of processes that worked here before bind nobody.
                jobs.forget_fingerprint()
            jobs.open(job.fingerprint())
        messages = StudyMessages(job, jobs, say or (lambda line: None))
        result = run_job(job, whole.out, engine, notice=messages)
        with presence.turn():
            presence.leave()
            if result.is_complete and not presence.others():
                jobs.remove_records()
    return StudyOutcome(folder, tuple(result.failures), result.stopped)


def study(
    sources: Mapping[str, TaskSource],
    targets: Mapping[str, TaskSource],
    *,
    backbone: Backbone | Mapping[str, Any],
    weights: Mapping[str, str] | None = None,
    normalisation: Literal["", "imagenet", "keras", "none"] = "",
    scratch: bool = True,
    folds: int = 5,
    seeds: Sequence[int] = (0,),
    self_pairs: bool = False,
    source_training: StudyTraining | None = None,
    fine_tuning: StudyTraining | None = None,
    scores: Sequence[str] = (),
    metric: str = "auroc",
    folder: str | Path | None = None,
    device: str = "auto",
) -> StudyResults:
    """Fine-tune the network of every source on every target, fold by fold, and score it.

    backbone  a backbone of this library, of which the description counts, or a description
    weights   further sources: a name and a file of weights; `normalisation` says what they want
    scratch   whether a random start is a source too: the usual baseline
    folder    keeps every cell, and the same call goes on there after a kill; without one, the
              results are all that is left
    device    "cpu", "cuda" and so on; "auto": a GPU where there is one
    """
    spec = backbone if isinstance(backbone, Mapping) else backbone.spec
    if spec is None:
        raise InputError("the backbone has no description; give one of torchcross.backbones")
    plain = dict(spec) if isinstance(spec, Mapping) else _flat(spec.as_dict())
    both = {**sources, **targets}
    for name in sources.keys() & targets.keys():
        if sources[name] is not targets[name]:
            raise InputError(f"{name!r} is one source and another target; give different names")
    settings = StudySettings(
        study=StudyDesign(
            sources=(*sources, *((SCRATCH,) if scratch else ())),
            weights=dict(weights or {}),
            normalisation=normalisation,
            targets=tuple(targets),
            folds=folds,
            seeds=tuple(seeds),
            self_pairs=self_pairs,
            metric=metric,
        ),
        backbone=plain,
        channels=common_channels(both),
        source_training=source_training or StudyTraining(),
        fine_tuning=fine_tuning or StudyTraining(),
        scores=StudyScores(names=tuple(scores)),
    )
    with tempfile.TemporaryDirectory() as place:
        machine = StudyMachine(device=device)
        outcome = run_study(settings, SourcesByName(both), folder or place, machine=machine)
        if outcome.stopped:
            raise KeyboardInterrupt
        for failure in outcome.failures:
            raise InputError(f"{failure.key}: {failure.kind}: {failure.reason}")
        return outcome.folder.results()


def _flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": spec["name"], **spec.get("options", {})}

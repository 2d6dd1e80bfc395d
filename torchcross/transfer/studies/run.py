"""From sources and targets to results: make what is missing, and read what is there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torchcross.backbones import Backbone
from torchcross.data import TaskSource
from torchcross.errors import InputError
from torchcross.jobs import InlineEngine, JobEngine, JobFolder, UnitFailure, run_job
from torchcross.transfer.results import StudyResults
from torchcross.transfer.studies.data import SourcesByName, StudyData
from torchcross.transfer.studies.folder import StudyFolder
from torchcross.transfer.studies.inputs import check_study, fingerprint_inputs
from torchcross.transfer.studies.job import StudyJob
from torchcross.transfer.studies.messages import StudyMessages
from torchcross.transfer.studies.settings import (
    SCRATCH,
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
) -> StudyOutcome:
    """Make what is missing in the folder of a study. Other processes may do the same meanwhile.

    `say` hears a line for each unit that is done or has failed.
    """
    check_study(settings, data)
    inputs = fingerprint_inputs(settings, data)
    folder = StudyFolder(out, settings)
    job = StudyJob(settings, data, str(out))
    jobs = JobFolder(out)
    with jobs.enter() as presence:
        with presence.turn():
            folder.begin(inputs)
            if not presence.others():
                # Versions and hardware of processes that worked here before bind nobody.
                jobs.forget_fingerprint()
            jobs.open(job.fingerprint())
        messages = StudyMessages(job, jobs, say or (lambda line: None))
        result = run_job(job, out, engine or InlineEngine(), notice=messages)
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
) -> StudyResults:
    """Fine-tune the network of every source on every target, fold by fold, and score it.

    backbone  a backbone of this library, of which the description counts, or a description
    weights   further sources: a name and a file of weights; `normalisation` says what they want
    scratch   whether a random start is a source too: the usual baseline
    folder    keeps every cell, and the same call goes on there after a kill; without one, the
              results are all that is left
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
        channels=_channels(both),
        source_training=source_training or StudyTraining(),
        fine_tuning=fine_tuning or StudyTraining(),
        scores=StudyScores(names=tuple(scores)),
    )
    with tempfile.TemporaryDirectory() as place:
        outcome = run_study(settings, SourcesByName(both), folder or place)
        if outcome.stopped:
            raise KeyboardInterrupt
        for failure in outcome.failures:
            raise InputError(f"{failure.key}: {failure.kind}: {failure.reason}")
        return outcome.folder.results()


def _flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": spec["name"], **spec.get("options", {})}


def _channels(sources: Mapping[str, TaskSource]) -> int:
    """The channels of all images; sources that differ are refused."""
    channels = {name: int(source.read([0]).shape[1]) for name, source in sources.items()}
    if len(set(channels.values())) > 1:
        raise InputError(
            f"the sources and targets have different numbers of channels: {channels}; convert them"
            " to one"
        )
    return next(iter(channels.values()))

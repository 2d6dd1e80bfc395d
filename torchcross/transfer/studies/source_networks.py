"""The networks of a study's sources, as scores before training take them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torchcross.algorithms import Supervised
from torchcross.errors import InputError
from torchcross.transfer.source_scores import SourceModel
from torchcross.transfer.studies.data import StudyData
from torchcross.transfer.studies.job import StudyJob
from torchcross.transfer.studies.machine import StudyMachine
from torchcross.transfer.studies.pair import class_states
from torchcross.transfer.studies.settings import StudySettings
from torchcross.transfer.studies.training import input_normalisation_of
from torchcross.transfer.studies.units import SourceTraining, needs_training


def source_models(
    settings: StudySettings,
    data: StudyData,
    folder: str | Path,
    sources: Sequence[str],
    machine: StudyMachine | None = None,
) -> tuple[dict[str, SourceModel], dict[str, int]]:
    """(by source its network, how many images it was learned from), of the first training seed.

    Networks of datasets are those in the folder. A file of weights has no number of images.
    """
    job = StudyJob(settings, data, str(folder), machine=machine or StudyMachine())
    models, sizes = {}, {}
    seed = settings.study.seeds[0]
    for source in sources:
        head = None
        if needs_training(source, settings):
            work = SourceTraining(source, settings.study.source_seed_of(seed))
            if not (Path(folder) / work.file).is_file():
                raise InputError(
                    f"{folder} has no network of {source!r} with the training seed {work.seed}; let"
                    " `torchcross transfer run` finish, or leave that source out"
                )
            learner = job.source_learner(work)
            network = learner.backbone
            # Reptile's head is of classes in any order.
            if isinstance(learner, Supervised):
                head = partial(class_states, learner)
            sizes[source] = len(job.source(source))
        else:
            network = job.network(seed, settings.study.weights.get(source, ""))
            if source not in settings.study.weights:
                sizes[source] = 0
        normalise = input_normalisation_of(network, settings.channels)
        models[source] = SourceModel(network, head, normalise)
    return models, sizes

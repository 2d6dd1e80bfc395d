"""A source that is learned by Reptile, from episodes of its classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch

from torchcross._kit.randomness import Stream, permutation
from torchcross.algorithms import Reptile
from torchcross.data import EpisodeLoader, EpisodeSampler, TaskSource
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.targets import MultiClass
from torchcross.task import Task
from torchcross.training import Feed, FitOptions, fit
from torchcross.transfer.studies.settings import StudyReptile
from torchcross.transfer.studies.training import (
    input_normalisation_of,
    machine_of_network,
    renew_learner,
)

_RENEWED: Final = 1024
"""Images of the source that BatchNorm's statistics are taken over, in batches of so many:"""
_BATCH: Final = 64


def reptile_of(backbone: Any, settings: StudyReptile, *, seed: int, channels: int) -> Reptile:
    """The learner before its training: what a file of its weights is read into."""
    return Reptile.as_published(
        backbone,
        ways=settings.ways,
        seed=seed,
        normalise=input_normalisation_of(backbone, channels),
    )


def check_reptile_source(source: TaskSource, settings: StudyReptile) -> None:
    """Refuse a source that has no such episodes."""
    if source.task.target.label_shape:
        raise InputError(
            f"Reptile learns from episodes of {settings.ways} classes, and images of"
            f" {source.name!r} are of any number of classes; give a source with one class an image"
        )
    _sampler(source, settings, 0)


def train_by_reptile(
    backbone: Any,
    source: TaskSource,
    settings: StudyReptile,
    *,
    seed: int,
    channels: int,
    folder: Path,
) -> Reptile:
    """Train a backbone; a killed training goes on in its folder.

    Its BatchNorm layers get the statistics of the source. Reptile uses those of each batch alone,
    and scores before fine-tuning take the network as it predicts.
    """
    learner = reptile_of(backbone, settings, seed=seed, channels=channels)
    options = FitOptions(
        steps=settings.iterations,
        lr=settings.lr,
        optimiser="sgd",
        schedule="linear",
        meta_batch=settings.meta_batch,
        seed=seed,
    )
    feed = episodes_of(source, settings, seed)
    machine = machine_of_network(backbone)
    fit(learner, feed, options, folder=folder, machine=machine, progress=False)
    renew_learner(learner, source, _RENEWED, _BATCH)
    return learner


@final
class _OfAnyOrder(Feed):
    """Episodes whose classes come in a drawn order: the places of a learned head mean nothing."""

    def __init__(self, sampler: EpisodeSampler, seed: int) -> None:
        self._sampler = sampler
        self._stream = Stream(seed, "order of classes")

    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Episode]:
        loader = EpisodeLoader(self._sampler, stop, start=start, rank=rank, ranks=ranks)
        for episode in loader:
            ways = len(episode.task.classes)
            assert episode.plan is not None
            order = permutation(self._stream, episode.plan.index, ways)
            names = [episode.task.classes[code] for code in order]
            places = torch.from_numpy(np.argsort(order))
            task = Task(episode.task.name, MultiClass(names), episode.task.domain)
            support, query = (
                Batch(part.x, places[part.y]) for part in (episode.support, episode.query)
            )
            yield replace(episode, support=support, query=query, task=task)

    def fingerprint(self, count: int) -> str:
        plans = [self._sampler[index] for index in range(count)]
        samples = [(plan.classes, plan.support.tolist(), plan.query.tolist()) for plan in plans]
        return hashlib.sha256(repr(("any order of classes", samples)).encode()).hexdigest()


def episodes_of(source: TaskSource, settings: StudyReptile, seed: int) -> Feed:
    """Episodes of drawn classes in drawn order; grades are classes like any other."""
    return _OfAnyOrder(_sampler(source, settings, seed), seed)


def _sampler(source: TaskSource, settings: StudyReptile, seed: int) -> EpisodeSampler:
    # Reptile learns from support and query together: one query of each class changes nothing.
    return EpisodeSampler(
        source,
        ways=settings.ways,
        shots=settings.shots - 1,
        queries=1,
        seed=seed,
        min_samples="enough",
    )

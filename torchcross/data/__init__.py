"""Sources, samplers and loaders: labels choose, plans are values, and only loaders read."""

from __future__ import annotations

from torchcross.data import toys
from torchcross.data.augment import Augmentation, Normalise
from torchcross.data.batches import BatchPlan, LabelledBatch, MixedBatches
from torchcross.data.curve import CurveLevel, ShotCurve
from torchcross.data.loader import EpisodeLoader, Episodes, MixedBatchLoader, PlanSource
from torchcross.data.planfile import PlanFile, load_plans, save_plans
from torchcross.data.request import MetaDatasetShots, Request
from torchcross.data.sampler import EpisodeSampler
from torchcross.data.source import (
    LabelSource,
    SourceDataset,
    SubsetSource,
    TaskSource,
    TensorSource,
)
from torchcross.data.wrappers import DatasetSource, ImageFolderSource
from torchcross.plan import EpisodePlan, PlanBatch

__all__ = [
    "Augmentation",
    "BatchPlan",
    "CurveLevel",
    "DatasetSource",
    "EpisodeLoader",
    "EpisodePlan",
    "EpisodeSampler",
    "Episodes",
    "ImageFolderSource",
    "LabelSource",
    "LabelledBatch",
    "MetaDatasetShots",
    "MixedBatchLoader",
    "MixedBatches",
    "Normalise",
    "PlanBatch",
    "PlanFile",
    "PlanSource",
    "Request",
    "ShotCurve",
    "SourceDataset",
    "SubsetSource",
    "TaskSource",
    "TensorSource",
    "load_plans",
    "save_plans",
    "toys",
]

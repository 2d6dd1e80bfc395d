"""Sources, samplers and loaders: labels choose, plans are values, and only loaders read."""

from __future__ import annotations

from torchcross.data.loading.augment import Augmentation, Normalise
from torchcross.data.loading.batches import BatchPlan, LabelledBatch, MixedBatches
from torchcross.data.loading.episode_slice import EpisodeSlice
from torchcross.data.loading.loader import EpisodeLoader, Episodes, MixedBatchLoader, PlanSource
from torchcross.data.plan_files.plan_file import PlanFile, load_plans, save_plans
from torchcross.data.sampling.curve import CurveLevel, ShotCurve
from torchcross.data.sampling.folds import stratified_folds
from torchcross.data.sampling.fractions import Fraction, class_fraction
from torchcross.data.sampling.request import MetaDatasetShots, Request
from torchcross.data.sampling.sampler import EpisodeSampler
from torchcross.data.sources import toys
from torchcross.data.sources.array_source import TensorSource
from torchcross.data.sources.datasets import DatasetSource
from torchcross.data.sources.feature_files import FeatureFile, FeatureRecord
from torchcross.data.sources.feature_source import FeatureSource
from torchcross.data.sources.image_folder import ImageFolderSource
from torchcross.data.sources.source import (
    LabelSource,
    SourceDataset,
    SubsetSource,
    TaskSource,
)
from torchcross.plan import EpisodePlan, PlanBatch

__all__ = [
    "Augmentation",
    "BatchPlan",
    "CurveLevel",
    "DatasetSource",
    "EpisodeLoader",
    "EpisodePlan",
    "EpisodeSampler",
    "EpisodeSlice",
    "Episodes",
    "FeatureFile",
    "FeatureRecord",
    "FeatureSource",
    "Fraction",
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
    "class_fraction",
    "load_plans",
    "save_plans",
    "stratified_folds",
    "toys",
]

"""Cross-domain few-shot learning: tasks, sources, episodes and samplers for every kind of label.

task    = tx.Task("shape", MultiClass(["disc", "square", "star"]), domain="toys")
source  = tx.TensorSource(images, labels, task, groups=patient_ids)
sampler = tx.EpisodeSampler(source, ways=(2, None), shots=(1, 10), queries=10, seed=0)
episode = tx.Episodes(sampler)[17]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchcross._kit.environment import refuse_published_torchcross

refuse_published_torchcross()

if TYPE_CHECKING:
    from torchcross.algorithms.checks.certify import certify
    from torchcross.algorithms.checks.estimate import estimate
    from torchcross.algorithms.predictor import Predictor, load_predictor
    from torchcross.data import (
        Augmentation,
        DatasetSource,
        EpisodeLoader,
        Episodes,
        EpisodeSampler,
        FeatureSource,
        ImageFolderSource,
        MetaDatasetShots,
        MixedBatches,
        MixedBatchLoader,
        Normalise,
        PlanFile,
        ShotCurve,
        TaskSource,
        TensorSource,
        load_plans,
        save_plans,
    )
    from torchcross.embedding import features
    from torchcross.episode import Batch, Episode
    from torchcross.evaluation.evaluate import evaluate
    from torchcross.experiment import open_run, read_experiment, run_experiment, write_page
    from torchcross.interop.huggingface import HuggingFaceSource
    from torchcross.plan import EpisodePlan
    from torchcross.records import Records, read_records
    from torchcross.report import write_report
    from torchcross.task import Task
    from torchcross.training import FitOptions, fit

_HOME = {
    "Augmentation": "data",
    "Batch": "episode",
    "DatasetSource": "data",
    "Episode": "episode",
    "EpisodeLoader": "data",
    "EpisodePlan": "plan",
    "EpisodeSampler": "data",
    "Episodes": "data",
    "FeatureSource": "data",
    "FitOptions": "training",
    "HuggingFaceSource": "interop.huggingface",
    "ImageFolderSource": "data",
    "MetaDatasetShots": "data",
    "MixedBatchLoader": "data",
    "MixedBatches": "data",
    "Normalise": "data",
    "PlanFile": "data",
    "Predictor": "algorithms",
    "Records": "records",
    "ShotCurve": "data",
    "Task": "task",
    "TaskSource": "data",
    "TensorSource": "data",
    "certify": "algorithms",
    "estimate": "algorithms",
    "evaluate": "evaluation",
    "features": "embedding",
    "fit": "training",
    "load_plans": "data",
    "load_predictor": "algorithms",
    "open_run": "experiment",
    "write_page": "experiment",
    "read_experiment": "experiment",
    "read_records": "records",
    "run_experiment": "experiment",
    "save_plans": "data",
    "write_report": "report",
}
_ROOMS = (
    "algorithms",
    "backbones",
    "cli",
    "data",
    "embedding",
    "episode",
    "errors",
    "evaluation",
    "experiment",
    "functional",
    "heads",
    "interop",
    "losses",
    "metrics",
    "plan",
    "records",
    "report",
    "statistics",
    "targets",
    "task",
    "testing",
    "training",
    "transfer",
)

__version__ = "0.1.0"
__all__ = [
    "Augmentation",
    "Batch",
    "DatasetSource",
    "Episode",
    "EpisodeLoader",
    "EpisodePlan",
    "EpisodeSampler",
    "Episodes",
    "FeatureSource",
    "FitOptions",
    "HuggingFaceSource",
    "ImageFolderSource",
    "MetaDatasetShots",
    "MixedBatchLoader",
    "MixedBatches",
    "Normalise",
    "PlanFile",
    "Predictor",
    "Records",
    "ShotCurve",
    "Task",
    "TaskSource",
    "TensorSource",
    "certify",
    "estimate",
    "evaluate",
    "features",
    "fit",
    "load_plans",
    "load_predictor",
    "open_run",
    "read_experiment",
    "read_records",
    "run_experiment",
    "save_plans",
    "write_page",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"torchcross.{_HOME[name]}"), name)
    if name in _ROOMS:
        return import_module(f"torchcross.{name}")
    raise AttributeError(f"module 'torchcross' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS, "__version__"])

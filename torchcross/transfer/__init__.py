"""Which source helps which target: results of studies, scores before training, and rankings.

`scores` hold the scores of a source that need no training on the target, `similarity` the distances
of tasks, `rankings` how good both are, `published` the tables of others.
"""

from __future__ import annotations

from torchcross.transfer import published, rankings, scores, similarity
from torchcross.transfer.results import StudyCell, StudyResults
from torchcross.transfer.similarity import distance, noise_floor, otdd, task2vec
from torchcross.transfer.source_choice import ScoreChoice, ScoreHalves
from torchcross.transfer.source_scores import SourceModel, SourceScores, rank
from torchcross.transfer.source_target import SourceTargetTable
from torchcross.transfer.studies import StudyTraining, study

__all__ = [
    "ScoreChoice",
    "ScoreHalves",
    "SourceModel",
    "SourceScores",
    "SourceTargetTable",
    "StudyCell",
    "StudyResults",
    "StudyTraining",
    "distance",
    "noise_floor",
    "otdd",
    "published",
    "rank",
    "rankings",
    "scores",
    "similarity",
    "study",
    "task2vec",
]

"""How alike tasks are: embeddings of tasks, their distances, and what experts say."""

from __future__ import annotations

from torchcross.transfer.similarity.dataset_distance import (
    otdd,
    otdd_noise_floor,
    otdd_of_features,
)
from torchcross.transfer.similarity.distances import DISTANCES, distance
from torchcross.transfer.similarity.embedding import TaskEmbedding
from torchcross.transfer.similarity.expert_votes import ExpertVotes, read_votes
from torchcross.transfer.similarity.fisher import fisher_information
from torchcross.transfer.similarity.task2vec import noise_floor, task2vec

__all__ = [
    "DISTANCES",
    "ExpertVotes",
    "TaskEmbedding",
    "distance",
    "fisher_information",
    "noise_floor",
    "otdd",
    "otdd_noise_floor",
    "otdd_of_features",
    "read_votes",
    "task2vec",
]

"""Embedding: images to stored features, in fixed blocks, each image once."""

from __future__ import annotations

from torchcross.embedding.embedding import Embedding, EmbeddingOptions
from torchcross.embedding.feature_sources import features, open_features, store_features
from torchcross.embedding.job import EmbeddingJob, Embeddings, file_in, make_features

__all__ = [
    "Embedding",
    "EmbeddingJob",
    "EmbeddingOptions",
    "Embeddings",
    "features",
    "file_in",
    "make_features",
    "open_features",
    "store_features",
]

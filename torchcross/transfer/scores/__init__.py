"""Scores of how well features of a source fit a target, before anything is trained on the target.

A score takes the features (N, D) of the target's training part under the network of a source, the
codes of their labels, and the target. It returns a value, higher where the source fits better, with
a remark where there is one; or NaN with the reason.
"""

from __future__ import annotations

from torchcross.transfer.scores.class_overlap import gbc
from torchcross.transfer.scores.coding_rates import transrate
from torchcross.transfer.scores.confidence_mixing import sfda
from torchcross.transfer.scores.discriminants import h_score, shrunk_h_score
from torchcross.transfer.scores.evidence import log_evidence, logme
from torchcross.transfer.scores.neighbours import knn
from torchcross.transfer.scores.pairwise_agreement import parc
from torchcross.transfer.scores.source_heads import leep, nce, nleep, states_of_labels

__all__ = [
    "gbc",
    "h_score",
    "knn",
    "leep",
    "log_evidence",
    "logme",
    "nce",
    "nleep",
    "parc",
    "sfda",
    "shrunk_h_score",
    "states_of_labels",
    "transrate",
]

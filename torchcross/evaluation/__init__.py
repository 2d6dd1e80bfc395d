"""Evaluation: episodes -> records -> what may be said of them."""

from __future__ import annotations

from torchcross.evaluation.across import Across, TargetPair, across_targets
from torchcross.evaluation.comparison import Comparison, Pair, Row, lower_is_better, within_target
from torchcross.evaluation.evaluate import evaluate
from torchcross.evaluation.files import read_records
from torchcross.evaluation.intervals import Interval, mean_interval
from torchcross.evaluation.means import Means, read_means
from torchcross.evaluation.pairs import (
    Difference,
    Wilcoxon,
    holm,
    paired_difference,
    seeded_difference,
    wilcoxon,
)
from torchcross.evaluation.progress import ProgressBar
from torchcross.evaluation.ranks import Friedman, critical_difference, friedman
from torchcross.evaluation.records import EpisodeRecord, Records
from torchcross.evaluation.seeds import hierarchical_interval

__all__ = [
    "Across",
    "Comparison",
    "Difference",
    "EpisodeRecord",
    "Friedman",
    "Interval",
    "Means",
    "Pair",
    "ProgressBar",
    "Records",
    "Row",
    "TargetPair",
    "Wilcoxon",
    "across_targets",
    "critical_difference",
    "evaluate",
    "friedman",
    "hierarchical_interval",
    "holm",
    "lower_is_better",
    "mean_interval",
    "paired_difference",
    "read_means",
    "read_records",
    "seeded_difference",
    "wilcoxon",
    "within_target",
]

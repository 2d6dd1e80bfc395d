"""Rankings of sources: how good is the order of a score, and does a rule without one do as well?"""

from __future__ import annotations

from torchcross.transfer.rankings.judgement import (
    Judgement,
    RankingRow,
    TargetRanking,
    judge_scores,
)
from torchcross.transfer.rankings.quality import (
    kendall_tau,
    recall,
    regret,
    relative_best,
    weighted_tau,
)
from torchcross.transfer.rankings.simple_rules import always, at_random, static_scores
from torchcross.transfer.rankings.within_target import Correlation, correlations

__all__ = [
    "Correlation",
    "Judgement",
    "RankingRow",
    "TargetRanking",
    "always",
    "at_random",
    "correlations",
    "judge_scores",
    "kendall_tau",
    "recall",
    "regret",
    "relative_best",
    "static_scores",
    "weighted_tau",
]

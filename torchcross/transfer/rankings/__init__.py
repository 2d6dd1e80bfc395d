"""Rankings of sources: how good is the order of a score, and does a rule without one do as well?"""

from __future__ import annotations

from torchcross.transfer.rankings.judgement import Judgement, judge_scores
from torchcross.transfer.rankings.quality import (
    kendall_tau,
    recall,
    regret,
    relative_best,
    weighted_tau,
)
from torchcross.transfer.rankings.row import (
    FEWEST_TARGETS,
    AgainstStatic,
    RankingRow,
    TargetRanking,
)
from torchcross.transfer.rankings.simple_rules import always, at_random, by_size, static_scores
from torchcross.transfer.rankings.stability import (
    SetupPair,
    Stability,
    score_quality,
    stability,
)
from torchcross.transfer.rankings.within_target import Correlation, correlations

__all__ = [
    "FEWEST_TARGETS",
    "AgainstStatic",
    "Correlation",
    "Judgement",
    "RankingRow",
    "SetupPair",
    "Stability",
    "TargetRanking",
    "always",
    "at_random",
    "by_size",
    "correlations",
    "judge_scores",
    "kendall_tau",
    "recall",
    "regret",
    "relative_best",
    "score_quality",
    "stability",
    "static_scores",
    "weighted_tau",
]

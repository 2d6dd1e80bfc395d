"""Counting the subjects that stand on both sides of an episode."""

from __future__ import annotations

import numpy as np

from torchcross._kit.arrays import Indices
from torchcross.plan import EpisodePlan

__all__ = ["shared_subjects"]


def shared_subjects(groups: Indices | None, plan: EpisodePlan) -> int:
    """How many subjects stand in both support and query of a plan; 0 where subjects are not
    known.
    """
    return 0 if groups is None else len(np.intersect1d(groups[plan.support], groups[plan.query]))

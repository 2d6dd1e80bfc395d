"""The settings of a search for the settings of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torchcross.training.options import option

RANDOM_TRIALS = 16
"""Trials of a random search that does not say how many."""


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """What `torchcross tune` searches, how long, and what it may see.

    search    "random": values are drawn; "grid": every combination of values is tried
    trials    trials of every row, for each target; 0: 16 in a random search, and in a grid search
              all of the grid
    seed      seed of a random search, and of the episodes that score trials
    score     what trials are scored on. "source-validation": episodes of the validation splits of
              the sources; "target-queries": the episodes of the target itself. The table then marks
              the rows as having seen the test
    episodes  episodes that score a trial, at each number of shots; with "target-queries" those of
              `evaluation`
    queries   query images per class in these episodes; 0: as many as in `evaluation`
    space     values to search by the names of settings, for all rows that read them: a list, or
              `{ from = 1e-4, to = 1e-1, scale = "log" }`
    rows      the same for single rows: `[tune.rows.mm-maml]`. A setting here replaces that of
              `space`
    """

    search: Literal["random", "grid"] = "random"
    trials: int = option(0, may_be_zero=True)
    seed: int = option(0, may_be_zero=True)
    score: Literal["source-validation", "target-queries"] = "source-validation"
    episodes: int = 50
    queries: int = option(0, may_be_zero=True)
    space: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Any] = field(default_factory=dict)

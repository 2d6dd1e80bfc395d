"""Which source helps which target: results of studies, scores before training, and rankings.

`scores` hold the scores of a source that need no training on the target, `rankings` how good they
are. Everything works on features, labels and tables; no file is read here.
"""

from __future__ import annotations

from torchcross.transfer import rankings, scores
from torchcross.transfer.results import StudyCell, StudyResults
from torchcross.transfer.source_target import SourceTargetTable

__all__ = ["SourceTargetTable", "StudyCell", "StudyResults", "rankings", "scores"]

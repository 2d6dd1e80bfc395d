"""What a page of a study shows: results, what was known of the sources, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from torchcross.errors import InputError
from torchcross.report.inputs import PageTable
from torchcross.statistics import bounds_of
from torchcross.transfer.results import SETUPS, StudyResults
from torchcross.transfer.similarity.geometry import TaskDistances
from torchcross.transfer.source_target import SCRATCH, SourceTargetTable

PAGE_TITLE: Final = "Which source helps which target"


@final
@dataclass(frozen=True, eq=False)
class PairDistances:
    """A distance of each source and target; `low` and `high` are its least and largest draw."""

    mean: SourceTargetTable
    low: SourceTargetTable
    high: SourceTargetTable

    @classmethod
    def of_one_draw(cls, table: SourceTargetTable) -> PairDistances:
        return cls(table, table, table)


@final
@dataclass(frozen=True, eq=False)
class TaskMap:
    """Distances of all tasks, or the reason why there is no map.

    `floors` are those of two draws of one task; `floor_words` say what is drawn.
    """

    distances: TaskDistances | None = None
    floors: Mapping[str, float] = field(default_factory=dict)
    floor_words: str = "two draws of it that share no image"
    reason: str = ""


@final
@dataclass(frozen=True, eq=False)
class StudyContents:
    """Everything that a page of a study is made from.

    baseline   what gains are over: a source, "self", or "" for none
    scores     of the sources, known before training; higher is better
    distances  of sources and targets; smaller is closer
    tasks      maps by the name of the distance
    sizes      how many images each source was learned from, for the rule of the largest
    largest    the largest source, where sizes are not known
    setups     what the values are numbered by, "fold" and "seed"; published means may have neither
    answer     what the study found, in a sentence, where it is no ranking by scores
    notes      what a publication should have done: paragraphs, and headings that begin with "# "
    cautions   what limits the numbers, beside what the page finds itself
    tables     further results, a section each
    """

    title: str
    results: StudyResults
    metric: str = "value"
    baseline: str = ""
    scores: Mapping[str, SourceTargetTable] = field(default_factory=dict)
    distances: Mapping[str, PairDistances] = field(default_factory=dict)
    tasks: Mapping[str, TaskMap] = field(default_factory=dict)
    sizes: Mapping[str, float] | None = None
    largest: str | None = None
    setups: Sequence[str] = SETUPS
    answer: str = ""
    notes: str = ""
    cautions: Sequence[str] = ()
    tables: Sequence[PageTable] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if both := sorted(self.scores.keys() & self.distances.keys()):
            raise InputError(f"{both} name a score and a distance; give different names")


def check_baseline(baseline: str | None, results: StudyResults, metric: str) -> str:
    """The baseline of gains, "" for none.

    None: the source "scratch", where there is one. A gain is a ratio, so that a metric that may be
    below 0, such as kappa, has a baseline only if it is asked for.
    """
    if baseline is None:
        low, _ = bounds_of(metric) or (0.0, 1.0)
        return SCRATCH if SCRATCH in results.sources and low >= 0 else ""
    if baseline == "none":
        return ""
    # It refuses a baseline that is not among the results.
    results.gains(baseline)
    return baseline

"""Statistics: what may be said of records within a target and across targets."""

from __future__ import annotations

from torchcross.metrics.reference_values import lower_is_better
from torchcross.statistics.across_result import Across, TargetPair
from torchcross.statistics.across_runs import AcrossRuns, Improvement, RunSummary, across_runs
from torchcross.statistics.across_targets import across_targets
from torchcross.statistics.aggregates import (
    PerformanceProfile,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from torchcross.statistics.bounds import bounds_of
from torchcross.statistics.by_class import ClassValue, Subgroups, class_values
from torchcross.statistics.calibration import Calibration, Reliability, calibration
from torchcross.statistics.calibration_intervals import (
    CalibrationIntervals,
    calibration_intervals,
)
from torchcross.statistics.comparison import Comparison, ComparisonRow, Pair
from torchcross.statistics.confusion import Confusion, confusion_matrix
from torchcross.statistics.draws import Draws
from torchcross.statistics.equivalence import Equivalence, equivalence
from torchcross.statistics.intervals import Interval, mean_interval
from torchcross.statistics.means import means_of
from torchcross.statistics.pairs import (
    Difference,
    holm,
    paired_difference,
    seeded_difference,
)
from torchcross.statistics.power import smallest_wilcoxon_p, targets_needed
from torchcross.statistics.prediction_set_values import SetValues, set_values
from torchcross.statistics.ranks import Friedman, critical_difference, friedman
from torchcross.statistics.seeds import hierarchical_interval
from torchcross.statistics.signed_ranks import Wilcoxon, wilcoxon
from torchcross.statistics.split_errors import (
    SplitError,
    auroc_error,
    bootstrap_errors,
    split_interval,
)
from torchcross.statistics.tails import share_at_chance, worst_mean
from torchcross.statistics.welch import SummaryOfRuns, WelchTest, welch_test
from torchcross.statistics.within_target import within_target

__all__ = [
    "Across",
    "AcrossRuns",
    "Calibration",
    "CalibrationIntervals",
    "ClassValue",
    "Comparison",
    "ComparisonRow",
    "Confusion",
    "Difference",
    "Draws",
    "Equivalence",
    "Friedman",
    "Improvement",
    "Interval",
    "Pair",
    "PerformanceProfile",
    "Reliability",
    "RunSummary",
    "SetValues",
    "SplitError",
    "Subgroups",
    "SummaryOfRuns",
    "TargetPair",
    "WelchTest",
    "Wilcoxon",
    "across_runs",
    "across_targets",
    "auroc_error",
    "bootstrap_errors",
    "bounds_of",
    "calibration",
    "calibration_intervals",
    "class_values",
    "confusion_matrix",
    "critical_difference",
    "equivalence",
    "friedman",
    "hierarchical_interval",
    "holm",
    "interquartile_mean",
    "lower_is_better",
    "mean_interval",
    "means_of",
    "paired_difference",
    "performance_profile",
    "probability_of_improvement",
    "seeded_difference",
    "set_values",
    "share_at_chance",
    "smallest_wilcoxon_p",
    "split_interval",
    "targets_needed",
    "welch_test",
    "wilcoxon",
    "within_target",
    "worst_mean",
]

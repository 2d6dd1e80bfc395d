"""A made-up table that has the summary of a published one: three algorithms over 18 targets, one
row with a tie.

Of the published table's ResNet-18 rows only this summary is used: mean ranks, tests, and the mean
differences with their intervals. The single means are invented (by a search for a table with that
summary) and are nobody's results.
"""

from __future__ import annotations

NAMES = ("IM-PT", "mm-PT", "mm-MAML")
ROWS = (
    (71.3, 63.2, 56.2),
    (60.7, 62.5, 56.2),
    (84.9, 77.8, 74.6),
    (85.2, 78.4, 73.9),
    (66.4, 66.6, 59.3),
    (69.9, 67.0, 62.9),
    (77.9, 73.5, 70.5),
    (68.6, 62.6, 58.9),
    (69.1, 66.0, 68.9),
    (81.3, 74.3, 71.9),
    (67.7, 66.1, 64.9),
    (71.7, 71.1, 69.5),
    (80.0, 76.6, 72.7),
    (75.0, 67.5, 67.5),
    (82.3, 82.0, 81.5),
    (75.4, 67.0, 62.6),
    (79.4, 77.5, 75.5),
    (75.7, 77.0, 74.7),
)
MEAN_RANKS = (1.167, 1.917, 2.917)
# first, second, mean difference, half of its interval, W
DIFFERENCES = (
    ("IM-PT", "mm-PT", 3.66, 1.68, 11),
    ("IM-PT", "mm-MAML", 6.68, 2.15, 0),
    ("mm-PT", "mm-MAML", 3.03, 1.26, 7),
)

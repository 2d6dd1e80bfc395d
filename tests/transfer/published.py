"""Published tables.

cats_scans.csv: van den Brandt et al. 2021, from the repository vcheplygina/cats-scans. AUC on five
folds, Task2Vec distances of three subsets, expert distances, last learning rates.
medmnist_sources.csv: Juodelyte et al. 2024, from DovileDo/transferability-in-medical-imaging,
rounded. AUC and LogME of 15 sources on 12 targets.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

from torchcross.transfer.results import StudyCell, StudyResults
from torchcross.transfer.source_target import SourceTargetTable

_FOLDER = Path(__file__).parent / "data"


def read_rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cats_scans() -> StudyResults:
    cells = [
        StudyCell(row["source"], row["target"], fold, 0, float(row[f"auc{fold + 1}"]))
        for row in read_rows("cats_scans.csv")
        for fold in range(5)
    ]
    return StudyResults.of_cells(cells)


def task2vec_distances() -> SourceTargetTable:
    """The five draws were three distinct subsets, one of them three times."""
    return SourceTargetTable.of_pairs(
        {
            (row["source"], row["target"]): (
                3 * float(row["d_subset62"]) + float(row["d_subset47"]) + float(row["d_subset51"])
            )
            / 5
            for row in read_rows("cats_scans.csv")
        }
    )


def expert_distances() -> SourceTargetTable:
    return SourceTargetTable.of_pairs(
        {
            (row["source"], row["target"]): float(row["expert"])
            for row in read_rows("cats_scans.csv")
        }
    )


def medmnist(column: str) -> SourceTargetTable:
    return SourceTargetTable.of_pairs(
        {
            (row["source"], row["target"]): float(row[column] or math.nan)
            for row in read_rows("medmnist_sources.csv")
        }
    )

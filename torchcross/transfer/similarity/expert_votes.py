"""What observers say of datasets: answers to questions, by vote, and how far two datasets are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torchcross._kit.spreadsheet_cells import text_of_cell
from torchcross._kit.suggestions import unknown_name
from torchcross._kit.user_files import read_user_text
from torchcross.errors import InputError, ReadError

COLUMNS = ("dataset", "question", "answer", "votes")


@final
@dataclass(frozen=True, eq=False)
class ExpertVotes:
    """votes[dataset][question][answer] is how many observers gave the answer."""

    votes: Mapping[str, Mapping[str, Mapping[str, float]]]

    def __post_init__(self) -> None:
        asked = list(dict.fromkeys(name for each in self.votes.values() for name in each))
        for dataset, answers in self.votes.items():
            for question in asked:
                counts = answers.get(question, {})
                if not sum(counts.values()) > 0 or min(counts.values()) < 0:
                    raise InputError(
                        f"{dataset!r} has no vote on {question!r}, which others have; give the"
                        " votes of all datasets on all questions, or leave the question out"
                    )

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(self.votes)

    @property
    def questions(self) -> tuple[str, ...]:
        return tuple(next(iter(self.votes.values()), {}))

    def majority(self, dataset: str) -> dict[str, tuple[str, ...]]:
        """By question the answer with most votes; more than one where they tie."""
        return {
            question: tuple(
                answer for answer, votes in counts.items() if votes == max(counts.values())
            )
            for question, counts in self._of(dataset).items()
        }

    @property
    def ties(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """(dataset, question, the answers with most votes), where there is more than one."""
        return tuple(
            (dataset, question, answers)
            for dataset in self.datasets
            for question, answers in self.majority(dataset).items()
            if len(answers) > 1
        )

    def hamming(self, one: str, other: str) -> float:
        """In how many questions the majorities differ; a tie counts as the share of its answers.

        Tied answers are drawn at random: two majorities agree with the probability that they are
        the same answer.
        """
        first, second = self.majority(one), self.majority(other)
        return sum(
            1 - len(set(first[name]) & set(second[name])) / len(first[name]) / len(second[name])
            for name in self.questions
        )

    def expected_hamming(self, one: str, other: str) -> float:
        """In how many questions an observer of one dataset and one of the other would differ."""
        first, second = self._shares(one), self._shares(other)
        return sum(
            1 - sum(share * second[name].get(answer, 0) for answer, share in first[name].items())
            for name in self.questions
        )

    def _of(self, dataset: str) -> Mapping[str, Mapping[str, float]]:
        if dataset not in self.votes:
            raise InputError(unknown_name("dataset", dataset, self.votes))
        return self.votes[dataset]

    def _shares(self, dataset: str) -> dict[str, dict[str, float]]:
        return {
            question: {answer: votes / sum(counts.values()) for answer, votes in counts.items()}
            for question, counts in self._of(dataset).items()
        }


def read_votes(path: str | Path) -> ExpertVotes:
    """Read a CSV of the columns dataset, question, answer and votes, one row for each answer."""
    reader = csv.DictReader(io.StringIO(read_user_text(Path(path)), newline=""))
    try:
        if set(reader.fieldnames or ()) != set(COLUMNS):
            raise InputError(f"{path} has the columns {reader.fieldnames}; give {list(COLUMNS)}")
        return ExpertVotes(_table(path, reader))
    except csv.Error as error:
        raise ReadError(f"{path}:{reader.line_num} is no line of a CSV file: {error}") from error


def _table(
    path: str | Path, rows: Iterable[Mapping[str, str | None]]
) -> dict[str, dict[str, dict[str, float]]]:
    votes: dict[str, dict[str, dict[str, float]]] = {}
    for number, row in enumerate(rows, start=2):
        dataset, question, answer = (text_of_cell(row[name] or "") for name in COLUMNS[:3])
        try:
            count = int(row["votes"] or "")
        except (TypeError, ValueError):
            count = -1
        if not (dataset and question and answer and count >= 0):
            raise InputError(
                f"line {number} of {path} is {dict(row)}; give a dataset, a question, an answer and"
                " a whole number of votes"
            )
        counts = votes.setdefault(dataset, {}).setdefault(question, {})
        if answer in counts:
            raise InputError(
                f"line {number} of {path}: {dataset!r}, {question!r}, {answer!r} stands twice"
            )
        counts[answer] = count
    if not votes:
        raise InputError(f"{path} has no votes")
    return votes

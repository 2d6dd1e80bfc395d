"""What observers say of datasets: answers to questions, by vote, and how far two datasets are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError, ReadError
from torchcross.transfer.table_files import (
    TableFile,
    check_spellings,
    read_table_file,
    required_name,
    whole_number_in,
)

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
    table = read_table_file(Path(path))
    if set(table.header) != set(COLUMNS):
        raise ReadError(f"{path} has the columns {list(table.header)}; give {list(COLUMNS)}")
    votes = _votes_in(table)
    answers: dict[str, list[str]] = {}
    for asked in votes.values():
        for question, counts in asked.items():
            answers.setdefault(question, []).extend(counts)
    check_spellings(table.path, "datasets", list(votes))
    check_spellings(table.path, "questions", list(answers))
    for names in answers.values():
        check_spellings(table.path, "answers", names)
    return ExpertVotes(votes)


def _votes_in(table: TableFile) -> dict[str, dict[str, dict[str, float]]]:
    votes: dict[str, dict[str, dict[str, float]]] = {}
    for place, row in table.rows:
        cells = dict(zip(table.header, row, strict=True))
        dataset, question, answer = (
            required_name(place, name, cells[name]) for name in COLUMNS[:3]
        )
        counts = votes.setdefault(dataset, {}).setdefault(question, {})
        if answer in counts:
            raise ReadError(
                f"{place}: {dataset!r}, {question!r}, {answer!r} stands twice; give it once"
            )
        counts[answer] = whole_number_in(place, "number of votes", cells["votes"])
    return votes

"""Votes of observers: a real table, ties, and tables that lack an answer."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from torchcross.errors import InputError, ReadError
from torchcross.transfer.similarity import ExpertVotes, read_votes

# Answers of 14 observers to ten questions about five datasets, from the history of the repository
# vcheplygina/cats-scans.
ANSWERS = {
    "chest": (
        "Y14|xray12 ct2|chest13 body1|Y10 N4|multi11 one3|Y13 N1|na14|N13 Y1|two11 more3"
        "|both8 obj4 tex2"
    ),
    "dtd": (
        "N14|na14|na14|N14|one7 na4 multi3|N11 Y3|rich13 tone1|Y14|more13 two1|tex11 obj2 both1"
    ),
    "isic": (
        "Y14|na11 micro3|skin13 limb1|N9 Y5|one13 multi1|N13 Y1|tone11 rich3|N12 Y2|two12 more2"
        "|both9 tex3 obj2"
    ),
    "stl10": "N14|na14|na14|Y14|one10 multi4|Y14|rich12 tone2|Y14|more14|obj11 both3",
    "pcam": (
        "Y14|micro14|na10 body3 skin1|N13 Y1|multi12 na1 one1|N13 Y1|tone10 rich4|Y10 N4"
        "|two10 more4|both8 tex5 obj1"
    ),
}
MAJORITY = [10, 6, 8, 6, 6, 3, 6, 8, 4, 8]


def votes() -> ExpertVotes:
    table = {}
    for dataset, text in ANSWERS.items():
        table[dataset] = {}
        for number, counts in enumerate(text.split("|")):
            pairs = [(word.rstrip("0123456789"), word) for word in counts.split()]
            table[dataset][f"question {number}"] = {
                answer: int(word[len(answer) :]) for answer, word in pairs
            }
    return ExpertVotes(table)


def test_the_majorities_of_a_real_vote() -> None:
    table = votes()
    assert table.datasets == ("chest", "dtd", "isic", "stl10", "pcam")
    distances = [table.hamming(*pair) for pair in combinations(table.datasets, 2)]
    assert distances == MAJORITY
    assert table.ties == ()
    assert all(table.hamming(name, name) == 0 for name in table.datasets)


def test_expected_differences_know_how_sure_the_votes_are() -> None:
    table = ExpertVotes({"a": {"q": {"yes": 3, "no": 1}}, "b": {"q": {"yes": 2, "no": 2}}})
    assert table.expected_hamming("a", "b") == pytest.approx(1 - (0.75 * 0.5 + 0.25 * 0.5))
    # Observers of one dataset differ among themselves.
    assert table.expected_hamming("b", "b") == pytest.approx(0.5)


def test_ties_are_reported_and_shared() -> None:
    table = ExpertVotes({"a": {"q": {"yes": 2, "no": 2}}, "b": {"q": {"yes": 4}}})
    assert table.ties == (("a", "q", ("yes", "no")),)
    assert table.hamming("a", "b") == pytest.approx(0.5)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["dataset,question,answer,votes", *lines]), encoding="utf-8-sig")
    return path


def test_a_file_of_votes(tmp_path: Path) -> None:
    path = write(tmp_path / "votes.csv", "a,q,yes,3", "a,q,no,1", "b,q,yes,4")
    assert read_votes(path).hamming("a", "b") == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,q,yes,3", "b,r,yes,4"], "'a' has no vote on 'r'"),
        (["a,q,yes,3", "a,q,yes,4"], "csv:3: 'a', 'q', 'yes' stands twice"),
        (["a,q,yes,3", " a,q ,yes,4"], "stands twice"),
        (["a,q,yes,many"], "csv:2 has the number of votes 'many'; give a whole number"),
        (["a,q,yes,3", "", "a,q,no,-1"], "csv:4 has the number of votes '-1'"),
        (["a,,yes,3"], "csv:2 has no question"),
        (["a,modality,xray,12,5"], "csv:2 has 5 cells where the header has 4"),
        (["a,q,yes,3", "A,q,yes,3"], "has the datasets 'a' and 'A'; write one name one way"),
        (["a,q,yes,3", "b,q,Yes,3"], "has the answers 'yes' and 'Yes'"),
        ([], "has no rows"),
    ],
)
def test_files_that_lack_something(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises((InputError, ReadError)) as caught:
        read_votes(write(tmp_path / "votes.csv", *lines))
    assert message in str(caught.value)


def test_columns_of_another_table(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("source,target\na,b\n", encoding="utf-8")
    with pytest.raises(ReadError, match="give \\['dataset'"):
        read_votes(path)
    path.write_text("dataset,question,answer,votes,votes\na,q,yes,1,2\n", encoding="utf-8")
    with pytest.raises(ReadError, match="names \\['votes'\\] twice"):
        read_votes(path)


def test_an_unknown_dataset() -> None:
    with pytest.raises(InputError, match="did you mean 'isic'"):
        votes().hamming("isci", "dtd")

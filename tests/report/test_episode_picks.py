"""From a number to its episodes: the best, the median and the worst, and what was predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.report.reading import page_of
from tests.report.sample import records
from torchcross.records import EpisodeRecord, Records
from torchcross.report.episode_answers import EpisodeAnswers, QueryAnswer
from torchcross.report.episode_picks import picked_episodes, picks_table
from torchcross.report.summarise import summarise


def rows_of(values: list[float], metric: str = "auroc") -> Records:
    return Records.of(
        EpisodeRecord(
            "run", "d/t", "d", "a", 5, 0, number, metric, value, "" if value == value else "why"
        )
        for number, value in enumerate(values)
    )


@max_examples(30)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_picks_are_the_extremes_and_a_median_of_the_scores(values: list[float]) -> None:
    for metric, ascending in (("auroc", False), ("mae", True)):
        best, median, worst = picked_episodes(rows_of(values, metric), metric)["d/t", "a", 5]
        ordered = sorted(values, reverse=not ascending)
        assert (best.value, worst.value) == (ordered[0], ordered[-1])
        assert median.value == ordered[(len(values) - 1) // 2]
        assert all(values[pick.episode] == pick.value for pick in (best, median, worst))


def test_episodes_without_a_score_are_not_picked() -> None:
    picks = picked_episodes(rows_of([np.nan, 0.4, np.nan]), "auroc")
    assert [pick.episode for pick in picks["d/t", "a", 5]] == [1, 1, 1]
    assert picked_episodes(rows_of([np.nan]), "auroc") == {}


def test_a_cell_leads_to_its_episodes_and_they_to_their_answers(tmp_path: Path) -> None:
    rows = records(1, 1, shots=(5,))
    target = str(rows.unique("target")[0])
    _, _, worst = picked_episodes(rows, "auroc")[target, "mm-pt", 5]
    told = (QueryAnswer(7, "disc", "disc", 0.9), QueryAnswer(12, "disc", "square", 0.6))
    answers = [EpisodeAnswers("mm-pt", target, 5, 0, worst.episode, told)]
    page = page_of(tmp_path, rows, answers=answers)
    links = page.all("table", "headline")[0].all("tbody")[0].all("a")
    assert {link.attributes["href"] for link in links} == {"#episodes-1"}
    fold = page.by_id("episodes-1")
    cells = [row.all("td")[-1].text for row in fold.all("tbody")[0].all("tr")]
    assert cells[1] == f"{100 * worst.value:.1f} (episode {worst.episode})"
    (listing,) = fold.all("ul", "answers")
    assert [item.text for item in listing.all("li")] == [
        "image 12: ✗ square, truth: disc, probability 60 %",
        "image 7: ✓ disc, probability 90 %",
    ]
    assert "worst episode" in fold.text


def test_an_episode_of_another_training_seed_is_another_one() -> None:
    """The median is the one with the same number of seed 1."""
    scores = {(0, 0): 0.9, (0, 1): 0.5, (1, 0): 0.6, (1, 1): 0.7}
    rows = Records.of(
        EpisodeRecord("run", "d/t", "d", "a", 5, seed, episode, "auroc", value)
        for (seed, episode), value in scores.items()
    )
    answers = [EpisodeAnswers("a", "d/t", 5, 0, 1, (QueryAnswer(7, "disc", "disc", 0.9),))]
    table = picks_table(summarise(rows), "d/t", picked_episodes(rows, "auroc"), answers, {})
    assert ", worst episode" in str(table)

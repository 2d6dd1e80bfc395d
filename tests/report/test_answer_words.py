"""What the answer says of tables whose numbers are known: each clause, and when it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from tests.report.columns import FEW, means, scored
from tests.report.reading import Node, page_of
from torchcross.records import EpisodeRecord, Records
from torchcross.report.answer import answer
from torchcross.report.backbone_axis import axis_cells
from torchcross.report.last_rows import last_rows
from torchcross.report.standings import standings
from torchcross.report.summarise import summarise
from torchcross.statistics import across_targets

STEPS = np.arange(12)
AGAINST = {
    # B is ahead on eleven of twelve targets; A has the better mean, from one target.
    "A": 70 - 0.5 - STEPS / 97 + np.where(STEPS == 0, 20, 0),
    "B": 70 + STEPS * 0,
    "C": 40 - STEPS / 10,
}


# -- the direction of a test -----------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations("ABC")))
def test_a_test_that_favours_a_rival_is_not_said_for_the_leader(order: Sequence[str]) -> None:
    summary = summarise(means(AGAINST, order))
    text = answer(summary)
    assert text.startswith("A leads with a mean AUROC of 71.1 over 12 targets, 1.1 above B (95 %")
    assert " B has the best mean rank, 1.08. " in text
    assert (
        "Wilcoxon's signed-rank test over targets (with Holm's correction over 3 pairs) favours B"
        " over A (p 0.034), unlike the means: it ranks the differences over targets, and a few"
        " large ones decide a mean. It separates A from C (p 0.001). All others beat C by this"
        " test."
    ) in text
    assert "from B" not in text
    first, rival, last = standings(summary.across[None])
    assert (first.name, rival.name, last.name) == ("A", "B", "C")
    assert (rival.is_separate, rival.is_favoured) == (False, True)
    assert (last.is_separate, last.is_favoured) == (True, False)


def test_where_small_is_good_the_test_has_its_side_too() -> None:
    errors = {name: 1 - row / 100 for name, row in AGAINST.items()}
    scales = {f"d/t{place}": "0, 1" for place in STEPS}
    summary = summarise(scored(errors, "mae"), metric="mae", scales=scales)
    text = answer(summary)
    assert "A leads with a mean mean absolute error" not in text
    assert text.startswith("At 5 shots, A leads with a mean absolute error of 0.289 over 12")
    assert "0.011 below B (95 % interval over targets by Student's t, uncorrected: −0.0" in text
    assert "favours B over A (p 0.034), unlike the means" in text
    assert "It separates A from C (p 0.001)." in text


def test_no_dagger_and_no_p_speak_for_the_leader_against_the_test(tmp_path: Path) -> None:
    page = page_of(tmp_path, means(AGAINST))
    (card,) = page.all("table", "card")
    assert [[cell.text for cell in row.all("td")] for row in card.all("tr")[1:]] == [
        ["71.1", "", "", "1.92"],
        ["70.0†", "1.1", "0.034", "1.08"],
        ["39.4", "31.7", "0.001", "3.00"],
    ]
    assert "†: this test does not find it worse than the first." in page.by_id("results").text
    assert (
        "Wilcoxon's test favours algorithms with the worse mean: B over A (p 0.034)."
        in page.by_id("across").text
    )
    mean, rank = last_rows(summarise(means(AGAINST)))
    assert [cell.sign for cell in mean.cells] == ["", "†", ""]
    assert [cell.is_best for cell in mean.cells] == [True, False, False]
    assert [cell.is_best for cell in rank.cells] == [False, True, False]
    printed = str(across_targets(means(AGAINST)))
    assert printed.count("in favour of B") == printed.count("in favour of") == 1


def test_backbones_are_not_separated_from_a_best_one_that_the_test_is_against() -> None:
    cells = axis_cells(summarise(scored({n: r / 100 for n, r in AGAINST.items()})), 5)
    assert [cells[name].is_best for name in "ABC"] == [True, False, False]
    assert [cells[name].is_tied for name in "ABC"] == [False, True, False]


# -- who leads, by how much ------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations("ABC")))
def test_equal_means_share_the_lead(order: Sequence[str]) -> None:
    up = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.2])
    # The same mean, from sums in another order: rounding sets them apart.
    columns = {"A": 0.5 + up, "B": 0.5 + np.roll(up, 3), "C": 0.45 + up}
    table = means(columns, order)
    summary = summarise(table)
    across = summary.across[None]
    text = answer(summary)
    # In the order of their ranks.
    assert text.startswith(
        "A and B share the lead with a mean AUROC of 0.70 over 7 targets, 0.05 above C. A has the"
        " best mean rank, 1.50. "
    )
    # A is separated from C by less than Holm's method needs of three pairs, B is not at all.
    p = max(across.pair(*sorted((name, "C"), key=order.index)).p for name in "AB")
    assert f"does not tell them apart from C (p {p:.3f})." in text
    mean, _ = last_rows(summary)
    best = [name != "C" for name in order]
    assert [cell.is_best for cell in mean.cells] == best
    assert [cell.sign for cell in mean.cells if cell.is_best] == ["", ""]
    assert {each.name for each in standings(summary.across[None]) if each.is_first} == {"A", "B"}


def test_several_seconds_are_all_named() -> None:
    text = answer(summarise(means({"A": [0.9, 0.9], "B": [0.7, 0.5], "C": [0.5, 0.7]})))
    assert text.startswith("A leads with a mean AUROC of 0.9 over 2 targets, 0.3 above B and C. ")


def test_the_interval_is_of_how_far_the_leader_is_ahead_whatever_the_order() -> None:
    lead = np.array([1.0, 2.0, 3.0, 2.0, 1.0, 3.0, 2.0])
    columns = {"A": 60 + lead, "B": np.full(7, 60.0)}
    # 2 ± t(6) * sd / sqrt(7), sd being sqrt(4 / 6).
    for order in ("AB", "BA"):
        text = answer(summarise(means(columns, order)))
        assert "2 above B (95 % interval over targets by Student's t: 1 to 3)." in text
    scales = {f"d/t{place}": "0, 1" for place in range(7)}
    errors = {name: 1 - row / 100 for name, row in columns.items()}
    for names in ("AB", "BA"):
        rows = scored({name: errors[name] for name in names}, "mae")
        text = answer(summarise(rows, metric="mae", scales=scales))
        assert "0.020 below B (95 % interval over targets by Student's t: 0.012 to 0.028)." in text


def test_the_best_mean_rank_is_named_where_the_leader_does_not_have_it() -> None:
    assert "mean rank" not in answer(summarise(means({"A": [0.9, 0.8], "B": [0.7, 0.7]})))
    text = answer(summarise(means({"A": [0.9, 0.6, 0.6], "B": [0.5, 0.7, 0.7]})))
    assert "A leads" in text
    assert "B has the best mean rank, 1.33." in text
    three = {"A": [0.9, 0.5, 0.5], "B": [0.4, 0.6, 0.6], "C": [0.4, 0.6, 0.6]}
    assert "B and C have the best mean rank, 1.83." in answer(summarise(means(three)))


# -- p, and why it may differ from the interval ----------------------------------------------------


def test_the_bound_of_several_p_values_is_the_one_that_holds_for_all() -> None:
    draw = np.random.default_rng(0)
    columns = {
        "A": np.full(12, 80.0),
        "B": 78 - draw.uniform(0, 1, 12),
        "C": np.where(STEPS < 2, 80.4, 79) - STEPS / 100,
        "D": 79.5 + np.where(STEPS % 2, 1, -1) - STEPS / 50,
        "E": 79.2 + np.where(STEPS % 3, 1.1, -1) - STEPS / 50,
    }
    summary = summarise(means(columns))
    places = {each.name: each for each in standings(summary.across[None])}
    assert [places[name].is_separate for name in "BCDE"] == [True, True, False, False]
    low, high = sorted(places[name].p for name in "BC")
    assert f"separates A from C and B (p {high:.3f} or less), and not from E and D" in answer(
        summary
    )
    assert low < high
    least = min(places[name].p for name in "DE")
    assert places["D"].p != places["E"].p
    assert f"and not from E and D (p {least:.3f} or more)." in answer(summary)


def test_one_that_some_do_not_beat_is_not_beaten_by_all() -> None:
    # Both B and C are worse than A, and alike.
    columns = {
        "A": 80 + STEPS,
        "B": 60 + STEPS + STEPS % 2,
        "C": 60 + STEPS + (STEPS + 1) % 2 * 0.9,
    }
    assert "All others beat" not in answer(summarise(means(columns)))


NARROW = (
    "The interval leaves out 0 though the test does not separate the two: it is for this pair alone"
    " and takes differences over targets as normal; the test ranks them, and is corrected for all"
    " pairs."
)


def test_an_interval_and_a_test_that_disagree_are_explained_once() -> None:
    text = answer(summarise(means(FEW)))
    assert "uncorrected: 0.10 to 0.11)" in text
    assert "with so few targets it can separate none. " + NARROW in text
    text = answer(summarise(scored(FEW, shots=(1, 5))))
    assert text.count(NARROW) == 1
    short = (
        "The interval leaves out 0 though the test does not separate the two, for the same reason."
    )
    assert text.count(short) == 1
    wide = {"A": 70 + np.where(STEPS == 3, 60, 0.5 + STEPS / 50), "B": 70 + STEPS * 0}
    text = answer(summarise(means(wide)))
    assert "separates it from B (p 4.9e-04). The interval holds 0 though the test separates" in text
    agree = {"A": 70 + STEPS, "B": 60 + STEPS + STEPS / 50}
    assert "The interval" not in answer(summarise(means(agree)))


def test_an_interval_is_not_explained_by_a_test_that_favours_the_rival() -> None:
    columns = {"A": [20 + step if step < 9 else -step / 99 for step in range(60)], "B": [0.0] * 60}
    text = answer(summarise(means(columns)))
    assert text.startswith("A leads")
    assert "favours B over A" in text
    assert "The interval" not in text


# -- the leaderboard -------------------------------------------------------------------------------


def cards(page: Node) -> list[list[Node]]:
    return [card.all("tr")[1:] for card in page.all("table", "card")]


def test_behind_is_a_distance_and_only_shots_of_one_training_are_grey(tmp_path: Path) -> None:
    columns = {"B": [0.6, 0.61, 0.6], "A": [0.7, 0.71, 0.72]}
    rows = scored(columns, shots=(1, 5))
    second = np.where(rows.columns["shots"] == 5, 1, 0).astype(np.int64)
    twice = Records({**rows.columns, "seed": second})[second == 1]
    page = page_of(tmp_path, rows + twice)
    once, several = cards(page)
    assert [cell.text for cell in once[1].all("td")][:2] == ["60.3†°", "10.7"]
    assert [cell.text for cell in several[1].all("td")][:2] == ["60.3†", "10.7"]
    assert [len(row.all("td", "once")) for row in (*once, *several)] == [1, 1, 0, 0]
    mean, _ = last_rows(summarise(rows + twice))
    assert [cell.sign for cell in mean.cells] == ["†°", "°", "†", ""]
    scales = {f"d/t{place}": "0, 1" for place in range(3)}
    errors = scored({name: 1 - np.array(row) for name, row in columns.items()}, "mae")
    (tmp_path / "mae").mkdir()
    (card,) = cards(page_of(tmp_path / "mae", errors, metric="mae", scales=scales))
    assert card[0].all("th")[0].text.strip() == "A"
    assert [cell.text for cell in card[1].all("td")][:2] == ["0.397†°", "0.107"]


def test_a_rank_that_the_critical_difference_reaches_has_a_dagger() -> None:
    # A has rank 1.3, C rank 3, and the critical difference is 1.93.
    turns = np.where(np.arange(10) < 3, 1, -1)
    columns = {"A": 0.8 - turns / 20, "B": 0.8 + turns / 20, "C": np.full(10, 0.5)}
    summary = summarise(means({**columns, "D": np.full(10, 0.4), "E": np.full(10, 0.3)}))
    across = summary.across[None]
    assert across.cd / 2 < across.ranks[2] - across.ranks[0] < across.cd
    _, rank = last_rows(summary)
    assert [cell.sign for cell in rank.cells] == ["", "†", "†", "", ""]


def test_no_rank_is_apart_where_the_test_of_all_finds_no_difference() -> None:
    turns = {name: (np.arange(8) + place) % 8 for place, name in enumerate("BCDEFGHI")}
    summary = summarise(means({"A": [5.5] * 8, **turns, "J": [1.5] * 8}))
    across = summary.across[None]
    assert across.ranks[-1] - across.ranks[0] > across.cd
    _, rank = last_rows(summary)
    assert [cell.sign for cell in rank.cells] == ["", *["†"] * 9]


def test_ranks_have_marks_where_there_is_a_diagram_alone(tmp_path: Path) -> None:
    spread = {"A": 0.9, "B": 0.8, "C": 0.7, "D": 0.6, "E": 0.5}
    for targets, marked in ((4, False), (8, True)):
        table = means({name: np.full(targets, value) for name, value in spread.items()})
        _, rank = last_rows(summarise(table))
        assert any(cell.is_best or cell.sign for cell in rank.cells) is marked
        folder = tmp_path / str(targets)
        folder.mkdir()
        assert ("ranks by Nemenyi's test" in page_of(folder, table).by_id("results").text) is marked
        (folder / "rows").mkdir()
        rows = scored({name: np.full(targets, value) for name, value in spread.items()})
        legend = page_of(folder / "rows", rows).by_id("results").text
        assert ("Of mean ranks, † is what Nemenyi's test" in legend) is marked


# -- groups of rows --------------------------------------------------------------------------------


def test_rows_without_a_common_target_are_named_first() -> None:
    def on(place: int, *names: str) -> list[EpisodeRecord]:
        return [
            EpisodeRecord(
                "run", f"d/t{place}", "d", name, 5, 0, episode, "auroc", 0.6 + episode / 9
            )
            for name in names
            for episode in range(3)
        ]

    apart = Records.of([*on(0, "a", "b"), *on(1, "a", "b"), *on(2, "c", "d")])
    assert answer(summarise(apart)).startswith(
        "These 2 groups of rows share no target, and are not compared with one another:"
    )
    groups = answer(summarise(apart)).partition(".")[0]
    assert "a and b (2 targets)" in groups
    assert "c and d (1 target)" in groups
    # One row on targets of both joins them.
    joined = Records.of([*on(0, "a", "b"), *on(1, "a", "b"), *on(2, "c", "b")])
    assert "share no target" not in answer(summarise(joined))


# -- what cannot be estimated ----------------------------------------------------------------------


def test_two_targets_have_a_gap_without_an_interval() -> None:
    text = answer(summarise(scored({"a": [0.62, 0.80], "b": [0.52, 0.52]})))
    assert "19.0 percentage points above b (no interval: two targets are too few)." in text
    assert "interval over targets" not in text


def test_one_target_is_no_mean_of_targets(tmp_path: Path) -> None:
    page = page_of(tmp_path, scored({"a": [0.7], "b": [0.6]}))
    assert "5 shots, 1 target" in page.by_id("results").text
    assert "1 targets" not in page.text
    text = page.by_id("answer").all("p")[0].text
    assert "a leads with 70.0 % (AUROC) on " in text
    assert "One target says nothing of others: a test over targets needs more of them." in text
    for words in ("mean", "Wilcoxon", "these targets"):
        assert words not in text


def test_a_perfect_score_has_no_interval_and_says_why(tmp_path: Path) -> None:
    rows = scored({"a": [1.0, 1.0], "b": [1.0, 1.0]}, spread=0.0)
    results = page_of(tmp_path, rows).by_id("results").text
    assert "100.0 ± 0.0" not in results
    assert "No interval can be estimated: all 4 values are 1, an end of the scale" in results
    assert "interval (no cell has one)" in results
    some = scored({"a": [1.0], "b": [1.0]}, spread=0.0)
    others = scored({"c": [0.6]})
    legend = page_of(tmp_path, some + others).by_id("results").text
    assert "No ±: no interval can be estimated where all scores are an end" in legend
    assert "interval (Student's t over episodes)" in legend


def test_what_no_test_could_find_is_no_number_beyond_the_scale(tmp_path: Path) -> None:
    wild = scored({"a": [0.5, 0.5], "b": [0.5, 0.5]}, spread=0.5)
    names = [str(name) for name in wild.columns["algorithm"].tolist()]
    values = [
        0.9 * (1 - value) if name == "b" else value
        for name, value in zip(names, wild.columns["value"].tolist(), strict=True)
    ]
    page = page_of(tmp_path, Records({**wild.columns, "value": values}))
    assert "(finds none): the test would miss even a difference as large" in page.text
    assert "its ends stand in the CSV table" in page.text

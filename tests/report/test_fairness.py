"""What every format says of a row whose algorithms did not all score the same episodes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.report.reading import Node, page_of, rows_of
from torchcross.records import EpisodeRecord, Records
from torchcross.report import Failure, csv_table, html_table, latex_table, markdown_table
from torchcross.statistics import within_target

EPISODES, TARGETS = 40, 7
nan = float("nan")
DRAW = np.random.RandomState(0)
HARD = np.arange(EPISODES) % 2 == 1
STEADY = np.where(HARD, 0.5, 0.9) + DRAW.normal(0, 0.01, EPISODES)
SCORES = {
    "steady": STEADY,
    "diverges": np.where(HARD, nan, STEADY - 0.05 + DRAW.normal(0, 0.005, EPISODES)),
    "rarely": np.where(np.arange(EPISODES) < 3, 0.99, nan),
}


def records(
    scores: Mapping[str, Sequence[float]] = SCORES, targets: int = TARGETS, seeds: int = 1
) -> Records:
    return Records.of(
        EpisodeRecord(
            *(
                "run",
                f"d/target {place}",
                "d",
                algorithm,
                5,
                seed,
                episode,
                "auroc",
                value + 0.001 * (place + seed),
            ),
            "" if value == value else "the loss is not finite",
        )
        for place in range(targets)
        for algorithm, values in scores.items()
        for seed in range(seeds)
        for episode, value in enumerate(values)
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return page_of(tmp_path_factory.mktemp("page"), records())


def test_every_format_shows_who_is_best_and_what_failed() -> None:
    steady, diverges, rarely = within_target(records(), "d/target 0", "auroc", 5).rows
    texts = [
        f"{100 * row.interval.mean:.1f} ± {100 * row.interval.half:.1f}"
        for row in (steady, diverges, rarely)
    ]
    assert steady.common is not None
    assert diverges.common is not None
    common = [f"{100 * row.common.mean:.1f} common" for row in (steady, diverges)]  # type: ignore[union-attr]
    bold = [f"{100 * steady.interval.mean:.1f}", f" ± {100 * steady.interval.half:.1f}°"]
    cells = [
        cell.strip() for cell in markdown_table(records()).splitlines()[2].strip("|").split("|")
    ][2:]
    assert cells == [
        f"**{bold[0]}**{bold[1]} ({common[0]})",
        f"{texts[1]} (20 failed, {common[1]})",
        f"{texts[2]} (37 failed)",
    ]
    html = html_table(records())
    assert f"<strong>{bold[0]}</strong>{bold[1]} ({common[0]})</span></td>" in html
    assert f"<td>{texts[1]} (20 failed, {common[1]})</td><td>{texts[2]} (37 failed)</td>" in html
    line = next(line for line in latex_table(records()).splitlines() if "target 0" in line)
    shown = [text.replace("±", r"$\pm$") for text in texts]
    assert line.split(" & ")[2:] == [
        rf"{shown[1]} {{\footnotesize (20 failed, {common[1]})}}",
        rf"{shown[2]} {{\footnotesize (37 failed)}} \\",
    ]
    row = next(csv.DictReader(io.StringIO(csv_table(records()))))
    parts = {
        name: [row[f"{name}, 5 shots: {part}"] for part in ("n", "undefined", "failed", "mark")]
        for name in SCORES
    }
    assert parts == {
        "steady": ["40", "0", "0", "best, one training each"],
        "diverges": ["40", "0", "20", ""],
        "rarely": ["40", "0", "37", ""],
    }
    assert float(row["diverges, 5 shots: common mean"]) == diverges.common.mean
    assert row["rarely, 5 shots: common mean"] == ""


def test_the_page_shows_it_too(page: Node) -> None:
    for row in rows_of(page.all("table", "headline")[0]):
        steady, diverges, rarely = row.all("td")
        assert "best" in steady.classes
        said = [cell.all("small")[0].text for cell in (steady, diverges, rarely)]
        assert [text.partition(",")[0] for text in said[1:]] == [" (20 failed", " (37 failed)"]
        assert said[0].endswith(" common)")
        assert "once" in steady.classes
    legend = page.by_id("results").all("p", "legend")[0].text
    assert "(n failed): n episodes that the algorithm could not score" in legend
    assert "each counts as chance level 0.5" in legend
    assert "° and grey: one training each" in legend


def test_a_failure_counts_as_chance_on_its_target() -> None:
    columns = records().columns
    rows = Records({**columns, "metric": ["accuracy"] * len(columns["metric"])})
    assert "each counts as the worst value 0." in markdown_table(rows)
    levels = dict.fromkeys(rows.unique("target"), 0.25)
    text = markdown_table(rows, chance={"accuracy": levels, "auroc": {}})
    assert "each counts as chance level 0.25." in text


def test_who_has_no_rows_of_most_episodes_is_not_compared() -> None:
    rows = records()
    scored = rows[~np.isnan(rows.columns["value"])]
    cells = markdown_table(scored).splitlines()[2].strip("|").split("|")
    assert cells[4].strip().endswith("‡")
    assert "‡: not compared" in markdown_table(scored)
    assert "over the episodes that every algorithm of a row scored" in latex_table(scored)
    assert "over 20 of 40 values" in html_table(scored)
    row = next(csv.DictReader(io.StringIO(csv_table(scored))))
    assert row["rarely, 5 shots: mark"] == "not compared"


def test_one_that_never_scores_erases_no_rank(tmp_path: Path) -> None:
    never = {**SCORES, "rarely": np.full(EPISODES, nan)}
    page = page_of(tmp_path, records(never))
    means, ranks = (
        row.all("td") for row in page.all("table", "headline")[0].all("tfoot")[0].all("tr")
    )
    found = [
        within_target(records(never), f"d/target {place}", "auroc", 5).rows
        for place in range(TARGETS)
    ]
    expected = [np.mean([rows[place].interval.mean for rows in found]) for place in (0, 1)]
    shown = [cell.text.rstrip("†°") for cell in means]
    assert shown == [*(f"{100 * mean:.1f}" for mean in expected), "—"]
    assert [cell.text.rstrip("†°") for cell in ranks] == ["1.00", "2.00", "—"]
    across = page.by_id("across")
    assert "rarely is left out: it has a mean of 0 of 7 targets" in across.text
    assert f"{TARGETS} targets. Friedman" in across.text
    assert len(across.all("svg")) == 1


def test_a_table_without_gaps_speaks_of_none() -> None:
    text = markdown_table(records({"a": STEADY, "b": STEADY + 0.1}))
    assert "undefined" not in text
    assert "‡" not in text
    assert "every algorithm of a row" not in text


def test_other_episodes_are_told_and_not_paired(tmp_path: Path) -> None:
    scores = {"a": STEADY, "b": STEADY + 0.1, "c": STEADY + 0.2}
    episodes = {(name, "d/target 1", 5): "other" if name == "c" else "these" for name in scores}
    rows = records(scores)
    found = page_of(tmp_path, rows, episodes=episodes)
    first, second = rows_of(found.all("table", "headline")[0])[:2]
    assert ["best" in cell.classes for cell in first.all("td")] == [False, False, True]
    assert [cell for cell in second.all("td") if "best" in cell.classes or "†" in cell.text] == []
    assert all("±" in cell.text for cell in second.all("td"))
    said = [node.text for node in found.by_id("results").all("p", "warning")]
    assert any("Not the same episodes: d/target 1 at 5 shots." in text for text in said)
    assert "d/target 1: not the same episodes" in found.by_id("across").text
    assert "not the same episodes (a, b | c)" in found.by_id("missing").text
    for write in (markdown_table, latex_table, html_table):
        assert "Rows whose algorithms were not scored on the same episodes" in write(
            rows, episodes=episodes
        )
    marks = [
        line["c, 5 shots: mark"]
        for line in csv.DictReader(io.StringIO(csv_table(rows, episodes=episodes)))
    ]
    assert marks == ["best, one training each", "", *["best, one training each"] * 5]


def test_one_number_per_seed_has_no_interval_over_images(tmp_path: Path) -> None:
    said = "One number per seed: no interval over test images."
    for seeds in (1, 3):
        rows = records({"a": [0.7], "b": [0.8]}, seeds=seeds)
        results = page_of(tmp_path, rows).by_id("results").text
        assert said in results
        assert "Where episodes share images" not in results
        assert said in markdown_table(rows)
        assert said in latex_table(rows)
    assert said not in page_of(tmp_path, records()).by_id("results").text


def test_failures_alone_have_a_page_whatever_metric_was_asked_for(tmp_path: Path) -> None:
    failure = Failure("the disk is gone", "ReadError", target="t", algorithm="a")
    found = page_of(tmp_path, Records.of([]), failures=[failure], metric="auroc", episodes={})
    assert "the disk is gone" in found.by_id("missing").text


def test_latex_explains_its_signs_in_print_and_needs_no_font_encoding() -> None:
    text = latex_table(records({'a "quoted" `name`': STEADY, "b": STEADY + 0.01}))
    below = text.partition("\\end{tabular}\n")[2]
    assert below.startswith(r"\par\smallskip\noindent{\footnotesize Mean $\pm$ half")
    assert r"$\dagger$: not separated from the best" in below
    assert "Bold: the best" in below
    assert r"a ''quoted'' \`{}name\`{}" in text
    assert text.isascii()


def test_a_name_keeps_its_case_where_a_remark_begins_with_it() -> None:
    rows = records(dict(list(SCORES.items())[:2]))
    text = markdown_table(rows[~np.isnan(rows.columns["value"])])
    assert "steady: over 20 of 40 values" in text
    assert "Training variance was not measured" in text

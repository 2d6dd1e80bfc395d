"""What the marks of a table say: one training each, what a tie's test would find, what was left
out.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiment.rows import saved
from tests.report.reading import page_of, read_page, rows_of
from tests.report.run_folder import made_run
from torchcross.backbones import conv4
from torchcross.experiment import write_page
from torchcross.experiment.run.json_files import write_json
from torchcross.records import EpisodeRecord, Records
from torchcross.report import csv_table, html_table, latex_table, markdown_table
from torchcross.statistics import within_target

DRAW = np.random.default_rng(0)
EASE = DRAW.normal(0.7, 0.05, 30)
NOISE = DRAW.normal(0, 0.01, 30)
SCORES = {
    "first": EASE,
    "near": EASE - 0.002 + NOISE - NOISE.mean(),
    "far": EASE - 0.1,
}
PARTIAL = "mean of 2 of 3 classes; undefined for 'rare'"


def records(
    seeds: int = 1, metrics: tuple[str, ...] = ("auroc",), reasons: dict[int, str] | None = None
) -> Records:
    return Records.of(
        EpisodeRecord(
            *("run", "oct/task", "oct", name, 5, seed, episode, metric),
            value + 0.001 * seed,
            (reasons or {}).get(episode, ""),
        )
        for metric in metrics
        for name, values in SCORES.items()
        for seed in range(seeds)
        for episode, value in enumerate(values)
    )


def cells(table: str, line: int = 2) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[line].strip("|").split("|")]


def read_csv(rows: Records, **options: Any) -> dict[str, str]:
    (line,) = csv.DictReader(io.StringIO(csv_table(rows, **options)))
    return line


def test_marks_of_one_training_each_are_grey_and_say_so_in_every_format(tmp_path: Path) -> None:
    rows = records()
    page = page_of(tmp_path, rows)
    first, near, far = page.all("table", "headline")[0].all("tbody")[0].all("td")
    assert {"best", "once"} <= set(first.classes)
    assert [span.text for span in near.all("span", "once")] == ["†°"]
    assert far.all("span", "once") == []
    assert first.attributes["title"].endswith("one training each")
    said = "° and grey: one training each."
    assert said in page.by_id("results").all("p", "legend")[0].text
    best, tied, other = cells(markdown_table(rows))[2:]
    assert best.endswith("°")
    assert "†°" in tied
    assert "°" not in other
    assert said in markdown_table(rows)
    latex = latex_table(rows)
    targets, _, _ = latex.partition("mean of the targets")
    assert targets.count(r"$^{\circ}$ &") == 1
    assert r"$^{\dagger}$$^{\circ}$" in latex
    assert r"$^{\circ}$ and grey: one training each." in latex
    assert latex.isascii()
    assert "color: #808080" in html_table(rows)
    line = read_csv(rows)
    marks = [line[f"{name}, 5 shots: mark"] for name in SCORES]
    assert marks == ["best, one training each", "tie, one training each", ""]
    text = str(within_target(rows, "oct/task", "auroc", 5))
    assert text.count("; one training each") == 2


@pytest.mark.parametrize("options", [{"seeds": 3}, {"untrained": tuple(SCORES)}])
def test_marks_are_black_with_several_seeds_or_without_training(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    rows = records(options.pop("seeds", 1))
    page = page_of(tmp_path, rows, **options)
    assert page.all("table", "headline")[0].all("td", "once") == []
    for table in (markdown_table, latex_table, html_table, csv_table):
        assert "one training each" not in table(rows, **options)
    assert read_csv(rows, **options)["first, 5 shots: mark"] == "best"


def test_one_trained_row_greys_the_marks_of_all() -> None:
    rows = records()
    assert "one training each" in markdown_table(rows, untrained=["first", "near"])


def test_a_dagger_has_the_smallest_difference_that_its_test_finds(tmp_path: Path) -> None:
    rows = records()
    reach = within_target(rows, "oct/task", "auroc", 5).detectable("near")
    text = f"(finds {100 * reach:.1f})"
    assert f"†° {text}" in markdown_table(rows)
    assert rf"$^{{\dagger}}$$^{{\circ}}$ {{\footnotesize {text}}}" in latex_table(rows)
    assert f"†° {text}" in html_table(rows)
    line = read_csv(rows)
    assert float(line["near, 5 shots: detectable"]) == reach
    assert line["first, 5 shots: detectable"] == line["far, 5 shots: detectable"] == ""
    page = page_of(tmp_path, rows)
    table = page.all("table", "headline")[0]
    assert [small.text.strip() for small in table.all("small")] == [text]
    assert "the smallest difference that this test finds with a probability of 80 %" in (
        page.by_id("results").text
    )


def test_equivalence_is_shown_where_a_margin_is_given(tmp_path: Path) -> None:
    rows = records()
    assert "†≈°" in markdown_table(rows, margin=0.02)
    assert "≈: equivalent to the best, the difference being within ±2.0" in markdown_table(
        rows, margin=0.02
    )
    assert r"$^{\approx}$" in latex_table(rows, margin=0.02)
    assert float(read_csv(rows, margin=0.02)["near, 5 shots: equivalence p"]) < 0.05
    assert "≈" not in markdown_table(rows, margin=0.001), "no cell has it: nothing to explain"
    assert "≈" not in markdown_table(rows)
    both = records(metrics=("auroc", "mae"))
    page = page_of(tmp_path, both, margin=0.02)
    lead, other = page.all("table", "headline")
    assert "≈" in lead.text
    assert "≈" not in other.text, "a margin is in the unit of the leading metric"


def test_averages_that_left_out_classes_are_counted_and_mark_their_row(tmp_path: Path) -> None:
    rows = records(reasons={3: PARTIAL, 5: PARTIAL})
    assert cells(markdown_table(rows))[1] == "task ∂"
    assert all("2 partial)" in cell for cell in cells(markdown_table(rows))[2:])
    assert r"task $\partial$" in latex_table(rows)
    assert r"{\footnotesize (2 partial)}" in latex_table(rows)
    assert "task\N{NO-BREAK SPACE}∂" in html_table(rows)
    assert read_csv(rows)["near, 5 shots: partial"] == "2"
    page = page_of(tmp_path, rows)
    (row,) = rows_of(page.all("table", "headline")[0])
    assert row.all("th")[0].text.startswith("task\N{NO-BREAK SPACE}∂")
    for text in (page.by_id("results").text, markdown_table(rows)):
        assert "(n partial): n values are averages over some of the classes" in text
        assert "∂: scores of this target leave out classes." in text
    assert str(within_target(rows, "oct/task", "auroc", 5)).count("2 partial") == 3
    remark = records(reasons={3: "all labels of the query are rank 2, so kappa is 0"})
    assert "partial" not in markdown_table(remark)
    assert "∂" not in markdown_table(records())


def test_classes_that_no_episode_has_mark_their_row(tmp_path: Path) -> None:
    rows, left_out = records(), {"oct/task": ["rare", "=odd"], "another": []}
    for table in (markdown_table, latex_table, html_table):
        text = table(rows, classes_left_out=left_out)
        text = text.replace("\N{NO-BREAK SPACE}", " ")
        assert "task ∂" in text.replace(r"$\partial$", "∂")
        assert "Classes that no episode has: oct/task: rare, =odd." in text
    assert read_csv(rows, classes_left_out=left_out)["classes left out"] == "rare; =odd"
    page = page_of(tmp_path, rows, classes_left_out=left_out)
    assert "Classes that no episode has: oct/task: rare, =odd." in page.by_id("results").text


def test_equal_tables_are_printed_once(tmp_path: Path) -> None:
    metrics = ("auroc", "accuracy", "balanced_accuracy", "qwk")
    columns = records(metrics=metrics).columns
    kappa = columns["metric"] == "qwk"
    first = columns["metric"] == "auroc"
    shift = np.where(kappa, 0.03, np.where(first, -0.02, 0.0))
    # Sums in another order differ in the last bit.
    noise = np.where(columns["metric"] == "balanced_accuracy", 1e-16, 0.0)
    rows = Records({**columns, "value": columns["value"] + shift + noise})
    results = page_of(tmp_path, rows).by_id("results")
    assert len(results.all("table", "headline")) == 3
    assert [fold.text for fold in results.all("summary")] == [
        "The same table of accuracy (%), balanced accuracy (%)",
        "The same table of quadratic weighted kappa (%)",
    ]
    reasons = np.where(columns["metric"] == "accuracy", PARTIAL, "")
    apart = page_of(tmp_path, Records({**rows.columns, "reason": reasons})).by_id("results")
    assert len(apart.all("table", "headline")) == 4, "the numbers agree, what they say does not"
    lead = page_of(tmp_path, rows, metric="accuracy").by_id("results")
    assert len(lead.all("table", "headline")) == 3
    assert "Every number and mark is the same for balanced accuracy (%)." in lead.text


# -- the page of a run -----------------------------------------------------------------------------


@pytest.mark.long
def test_a_run_knows_which_rows_have_nothing_to_train(tmp_path: Path) -> None:
    weights = saved(conv4(4, in_channels=1), tmp_path)
    settings = {"model.weights": weights, "model.normalisation": "none"}
    fixed = made_run(tmp_path / "fixed", algorithms=("ncm", "im-pt"), **settings)
    assert "one training each" not in table_of(fixed)
    assert "no row is trained" in read_page((fixed / "report.html").read_text("utf-8")).text
    mixed = made_run(tmp_path / "mixed", algorithms=("ncm", "mm-pt"), **settings)
    assert "one training each" in table_of(mixed)
    page = read_page((mixed / "report.html").read_text("utf-8"))
    assert "ncm: nothing to train, one seed is all there is." in page.text
    for place, weighted in enumerate(({}, settings)):
        drawn = made_run(tmp_path / f"drawn {place}", algorithms=("scratch", "ncm"), **weighted)
        assert "one training each" in table_of(drawn), "random initial values differ by seed too"


def test_a_run_marks_the_targets_whose_classes_were_left_out(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    targets = {
        "oct": {"name": "oct/t", "classes left out": ["rare"], "episodes": 100},
        "derm": {"name": "derm/t", "classes left out": [], "episodes": 100},
    }
    write_json(run / "protocol.json", {"preset": "quick", "episodes of targets": targets})
    text = table_of(run)
    assert "t ∂" in text
    assert "Classes that no episode has: oct/t: rare." in text


def table_of(run: Path) -> str:
    write_page(run)
    return (run / "table.md").read_text("utf-8")

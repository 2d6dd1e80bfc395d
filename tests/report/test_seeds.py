"""Several training seeds: every table and plot has the interval that resamples seeds, then
episodes.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from tests.report.reading import page_of
from torchcross.records import Records
from torchcross.report import csv_table, html_table, latex_table, markdown_table
from torchcross.statistics import Interval, hierarchical_interval, mean_interval, within_target

SEEDS = {"lucky": [0.55, 0.60, 0.80, 0.85], "steady": [0.70, 0.70, 0.70, 0.70]}


def rows() -> Records:
    """Episodes differ by little and the seeds of one algorithm by much: over episodes alone its
    interval is far too narrow.
    """
    columns: dict[str, list[object]] = {
        name: []
        for name in (
            "run",
            "target",
            "domain",
            "algorithm",
            "shots",
            "seed",
            "episode",
            "metric",
            "value",
        )
    }
    for algorithm, levels in SEEDS.items():
        for seed, level in enumerate(levels):
            for episode in range(100):
                row = (
                    "run",
                    "t",
                    "d",
                    algorithm,
                    5,
                    seed,
                    episode,
                    "auroc",
                    level + 0.001 * (episode % 10 - 4.5),
                )
                for name, value in zip(columns, row, strict=True):
                    columns[name].append(value)
    return Records({**columns, "reason": [""] * 800})


@pytest.fixture(scope="module")
def expected() -> Interval:
    values = [rows().where(algorithm="lucky", seed=seed).columns["value"] for seed in range(4)]
    seeded, pooled = hierarchical_interval(values), mean_interval(np.concatenate(values))
    assert seeded.half > 8 * pooled.half, "the case tells the two apart"
    return seeded


def test_every_table_has_it(expected: Interval) -> None:
    half = f"{100 * expected.half:.1f}"
    assert f"70.0 ± {half}" in markdown_table(rows()).replace("*", "")
    assert rf"$\pm$ {half}" in latex_table(rows())
    assert f"± {half}" in html_table(rows())
    (line,) = csv.DictReader(io.StringIO(csv_table(rows())))
    bounds = [float(line[f"lucky, 5 shots: {part}"]) for part in ("low", "high")]
    assert bounds == [expected.low, expected.high]
    for text in (markdown_table(rows()), latex_table(rows()), html_table(rows())):
        assert "hierarchical bootstrap: training seeds, then episodes" in text


def test_the_page_has_it_in_its_table_and_in_its_strips(expected: Interval, tmp_path: Path) -> None:
    page = page_of(tmp_path, rows())
    cell = page.all("table", "headline")[0].all("td")[0]
    assert f"± {100 * expected.half:.1f}" in cell.text
    assert cell.attributes["title"].startswith(
        f"{100 * expected.low:.1f} to {100 * expected.high:.1f}, 400 values"
    )
    lucky, steady = page.by_id("episodes").all("line", "whisker")
    wide, narrow = (
        float(line.attributes["x2"]) - float(line.attributes["x1"]) for line in (lucky, steady)
    )
    assert wide > 8 * narrow


def test_ties_are_of_the_bootstrap_over_seeds(expected: Interval) -> None:
    columns = rows().columns
    behind = np.where(columns["algorithm"] == "steady", 0.01, 0.0)
    near = Records({**columns, "value": columns["value"] - behind})
    found = within_target(near, "t", "auroc", 5)
    assert found.pairs[0].difference.interval.half > 0.9 * expected.half
    assert "69.0 ± 0.1†" in markdown_table(near).splitlines()[2]
    assert "†" not in markdown_table(rows()).splitlines()[2], "equal means are both the best"

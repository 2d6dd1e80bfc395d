"""What the page says is what the rows say, and what they cannot say is said too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.browser import write_sample
from tests.report.reading import Node, cells_of, page_of, read_page, rows_of
from tests.report.sample import ALGORITHMS, curves, example, labels_example, records
from torchcross.records import Records
from torchcross.report import Failure
from torchcross.statistics import across_targets, means_of, within_target


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Node:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_sample(path, hostile=False)
    return read_page(path.read_text(encoding="utf-8"))


def test_the_headline_says_what_the_rows_say(full: Node) -> None:
    rows, table = records(), full.all("table", "headline")[0]
    groups = [row.text for row in table.all("tr", "group")]
    assert groups == [*(f"domain{number}" for number in range(4)), "nothing was scored"]
    lines = {row.all("th")[0].attributes["data-value"]: row.all("td") for row in rows_of(table)}
    assert [cell.text for cell in lines.pop("mm-pt")] == ["—"] * 4 + ["failed"] + ["—"] * 4
    assert list(lines) == list(rows.unique("target"))
    for target, cells in lines.items():
        shown = iter(cells)
        for shots in (1, 5, 10):
            expected = within_target(rows, target, "auroc", shots)
            for algorithm in ALGORITHMS:
                cell, interval = next(shown), expected.row(algorithm).interval
                assert float(cell.attributes["data-value"]) == interval.mean
                assert cell.text.startswith(
                    f"{100 * interval.mean:.1f} ± {100 * interval.half:.1f}"
                )
                assert ("best" in cell.classes) == (algorithm == expected.best)
                assert ("†" in cell.text) == (algorithm in expected.ties)


def test_means_and_ranks_stand_below_the_headline(full: Node) -> None:
    rows = records()
    means, ranks = (
        [cell.text.rstrip("†°") for cell in row.all("td")]
        for row in full.all("table", "headline")[0].all("tfoot")[0].all("tr")
    )
    found = [across_targets(means_of(rows, "auroc", shots)) for shots in (1, 5, 10)]
    assert means == [f"{100 * mean:.1f}" for one in found for mean in one.means]
    assert ranks == [f"{rank:.2f}" for one in found for rank in one.ranks]


def test_every_other_metric_has_its_table(full: Node) -> None:
    captions = [table.all("caption")[0].text for table in full.all("table", "headline")]
    assert [caption.split(" by ")[0] for caption in captions] == ["AUROC (%)", "accuracy (%)"]


def test_every_column_sorts(full: Node) -> None:
    for table in full.all("table", "sortable"):
        width = sum(int(cell.attributes.get("colspan", 1)) for cell in cells_of(rows_of(table)[0]))
        heads = [head for head in table.all("th") if "data-column" in head.attributes]
        assert [int(head.attributes["data-column"]) for head in heads] == list(range(width))
        assert all(head.all("button") for head in heads)
        for row in rows_of(table):
            for head in heads:
                cell = cells_of(row)[int(head.attributes["data-column"])]
                if head.attributes["data-kind"] == "number":
                    assert cell.attributes["data-value"] == "" or np.isfinite(
                        float(cell.attributes["data-value"])
                    )


def test_a_support_is_shown_once_for_all_that_learned_from_it(tmp_path: Path) -> None:
    one, other = example(), replace(example(), algorithm="im-pt", score=0.5)
    found = page_of(tmp_path, records(1, 1), examples=[one, other, labels_example()]).by_id(
        "examples"
    )
    first, second = [
        fold
        for fold in found.all("details", "part")[0].children
        if isinstance(fold, Node) and fold.name == "details"
    ]
    assert [node.text for node in first.all("h3")] == ["mm-pt", "im-pt"]
    assert [node.text for node in second.all("h3")] == ["mm-maml"]
    count = len(one.support) + 2 * (len(one.worst) + len(one.query))
    assert len(first.all("img")) == count
    moved = replace(other, support=other.support[::-1])
    apart = page_of(tmp_path, records(1, 1), examples=[one, moved]).by_id("examples")
    assert len(apart.all("img")) == 2 * len(one.support) + 2 * (len(one.worst) + len(one.query))


def test_the_diagram_needs_six_targets(tmp_path: Path) -> None:
    enough = page_of(tmp_path, records(3, 2, shots=(5,), undefined=False)).by_id("across")
    assert len(enough.all("svg")) == 1
    assert "Critical difference" in enough.all("svg")[0].attributes["aria-label"]
    few = page_of(tmp_path, records(5, 1, shots=(5,))).by_id("across")
    assert few.all("svg") == []
    assert "fewer than six targets (5)" in few.all("p", "warning")[0].text


def test_related_targets_are_named(tmp_path: Path) -> None:
    related = [{"domain0/task 0", "domain1/task 0"}]
    found = page_of(tmp_path, records(), related=related).by_id("across")
    assert sum("share subjects" in node.text for node in found.all("p", "warning")) == 3


def test_one_algorithm_or_one_number_of_shots_is_said(tmp_path: Path) -> None:
    found = page_of(tmp_path, records(algorithms=["protonet"], shots=(5,)))
    assert "One algorithm" in found.by_id("across").text
    assert "5 shots" in found.by_id("shots").text
    assert found.by_id("shots").all("svg") == []
    assert found.all("tfoot")[0].all("th")[-1].text == "mean of the targets"


def test_one_training_seed_is_said_and_several_are_used(tmp_path: Path) -> None:
    said = "Training variance was not measured: there is one training seed."
    assert said in page_of(tmp_path, records(2, 1)).by_id("results").text
    several = page_of(tmp_path, records(2, 1, seeds=(0, 1, 2, 3))).by_id("results").text
    assert said not in several
    assert "hierarchical bootstrap" in several


def test_failures_stand_with_their_reason(tmp_path: Path) -> None:
    rows = records(2, 1)
    columns = rows.columns
    lost = (
        (columns["algorithm"] == "mm-pt")
        & (columns["target"] == "domain1/task 0")
        & (columns["shots"] == 5)
    )
    failure = Failure(
        "episode 12 diverged",
        "DivergenceError",
        target="domain1/task 0",
        algorithm="mm-pt",
        shots=5,
    )
    found = page_of(tmp_path, rows[~lost], failures=[failure])
    (cell,) = found.all("table", "headline")[0].all("abbr")
    assert (cell.text, cell.attributes["title"]) == ("failed", "episode 12 diverged")
    row = found.by_id("missing").all("tbody")[0].all("tr")[0]
    assert [cell.text for cell in cells_of(row)] == [
        *("domain1/task 0", "mm-pt", "5", "all", "DivergenceError", "episode 12 diverged"),
    ]
    assert "1 part of the study failed" in found.by_id("results").text
    gone = page_of(tmp_path, rows[~lost])
    assert gone.all("table", "headline")[0].all("abbr") == []
    assert "Nothing failed." in gone.by_id("missing").text


def test_failures_of_one_reason_are_one_row(tmp_path: Path) -> None:
    failures = [
        Failure("too few", "InfeasibleError", target="t", algorithm=name, seed=0)
        for name in ALGORITHMS
    ]
    failures.append(Failure("another", "InfeasibleError", target="t", algorithm="im-pt", seed=1))
    found = page_of(tmp_path, records(2, 1), failures=failures)
    rows = [
        [cell.text for cell in cells_of(row)]
        for row in rows_of(found.by_id("missing").all("table")[0])
    ]
    assert rows == [
        ["t", "im-pt, mm-pt, mm-maml", "every number", "0", "InfeasibleError", "too few"],
        ["t", "im-pt", "every number", "1", "InfeasibleError", "another"],
    ]
    assert "2 of 3targets" in "".join(
        pair.text for pair in reversed(found.all("dl", "facts")[0].all("div")[0].children)
    )
    (lost,) = [row for row in rows_of(found.all("table", "headline")[0]) if "failed" in row.text]
    assert [cell.text for cell in lost.all("td")] == ["failed"] * 9


def test_a_long_reason_is_folded_under_its_first_line(tmp_path: Path) -> None:
    failure = Failure("too few:\n  class <a> has 3\nPossible: less", target="t")
    cell = (
        page_of(tmp_path, records(1, 1), failures=[failure])
        .by_id("missing")
        .all("table")[0]
        .all("td")[-1]
    )
    assert cell.all("summary")[0].text == "too few:"
    assert cell.text == "too few:  class <a> has 3\nPossible: less"


def test_a_study_that_failed_as_a_whole_has_its_page(tmp_path: Path) -> None:
    failure = Failure("the disk is gone", "ReadError", target="t", algorithm="im-pt")
    found = page_of(tmp_path, records(1, 1)[:0], failures=[failure], curves=curves())
    assert "Nothing was scored" in found.by_id("results").text
    assert "the disk is gone" in found.by_id("missing").text
    assert found.by_id("curves").all("svg")
    assert not {"across", "download"} & {node.attributes.get("id") for node in found.walk()}


def test_what_was_chosen_is_said_before_the_protocol(tmp_path: Path) -> None:
    choices = {
        "episodes of a target": "they overlap; `disjoint = true` is better",
        "training seeds": "one & only",
    }
    found = page_of(
        tmp_path, records(1, 1), choices=choices, warnings=["Synthetic data: all of it."]
    )
    words = found.by_id("protocol").all("dl", "choices")[0]
    assert [node.text for node in cells_of(words)] == [
        *(
            "episodes of a target",
            "they overlap; disjoint = true is better",
            "training seeds",
            "one & only",
        ),
    ]
    assert [node.text for node in words.all("code")] == ["disjoint = true"]
    results = found.by_id("results")
    assert "Episodes of a target: they overlap" in results.text
    assert "Where episodes share images" not in results.text
    assert [node.text for node in results.all("p", "warning")] == [
        "Note: Synthetic data: all of it."
    ]
    assert "Where episodes share images" in page_of(tmp_path, records(1, 1)).by_id("results").text


def test_undefined_values_are_counted_with_their_reason(full: Node) -> None:
    found = full.by_id("missing")
    assert "Undefined values: 24" in found.text
    assert "A value that nobody has is left out of every mean." in found.text
    assert "class 'rare' has no query sample" in found.text


def test_a_metric_that_is_undefined_everywhere_is_shown_as_such(tmp_path: Path) -> None:
    rows = records(2, 1, episodes=3)
    size = len(rows)
    nothing = Records(
        {**rows.columns, "value": [float("nan")] * size, "reason": ["one class"] * size}
    )
    found = page_of(tmp_path, nothing)
    assert {
        cell.text for row in rows_of(found.all("table", "headline")[0]) for cell in row.all("td")
    } == {"undefined"}
    assert found.all("td", "best") == []


def test_errors_in_grades_are_no_percentages_and_less_is_better(tmp_path: Path) -> None:
    rows = records(1, 1, metrics=("mae",), shots=(5,))
    table = page_of(tmp_path, rows).all("table", "headline")[0]
    assert table.all("caption")[0].text == "mean absolute error by target, 5 shots"
    cells = rows_of(table)[0].all("td")
    values = [float(cell.attributes["data-value"]) for cell in cells]
    assert "best" in cells[values.index(min(values))].classes
    assert cells[0].text.startswith(f"{values[0]:.3f} ± ")


def test_many_episodes_are_drawn_as_an_outline(tmp_path: Path) -> None:
    shown = page_of(tmp_path, records(1, 1, ["a", "b"], (5,), 250, metrics=("auroc",))).by_id(
        "episodes"
    )
    assert (len(shown.all("path", "dots")), len(shown.all("path", "cloud"))) == (2, 0)
    assert shown.all("path", "dots")[0].attributes["d"].count("M") == 250
    shown = page_of(tmp_path, records(1, 1, ["a", "b"], (5,), 251, metrics=("auroc",))).by_id(
        "episodes"
    )
    assert (len(shown.all("path", "dots")), len(shown.all("path", "cloud"))) == (0, 2)

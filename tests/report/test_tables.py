"""LaTeX, Markdown and CSV: the same numbers, and no name that breaks the table."""

from __future__ import annotations

import csv
import io
import re

import pytest

from tests.report.sample import ALGORITHMS, HOSTILE, records
from torchcross.errors import InputError
from torchcross.messages import printable
from torchcross.records import Records
from torchcross.report import csv_table, latex_table, markdown_table
from torchcross.statistics import within_target

UNESCAPED = re.compile(r"(?<!\\)(?:\\\\)*([{}$&#_%~^|])")


def hostile_records() -> Records:
    rows = records(2, 1, shots=(1, 5), episodes=4)
    columns = rows.columns
    nasty = HOSTILE + "\r\nline | two\n"
    return Records(
        {
            **columns,
            **{
                name: [nasty + value for value in columns[name]] for name in ("target", "algorithm")
            },
        }
    )


def test_markdown_has_one_line_per_target_with_the_best_in_bold() -> None:
    rows = records(2, 2, shots=(5,))
    lines = markdown_table(rows).splitlines()
    assert lines[0] == "| domain | target: AUROC (%) | im-pt | mm-pt | mm-maml |"
    assert len(lines) == 2 + 4 + 1 + 2
    for line, target in zip(lines[2:6], rows.unique("target"), strict=True):
        expected = within_target(rows, target, "auroc", 5)
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1] == target.partition("/")[2]
        for cell, algorithm in zip(cells[2:], ALGORITHMS, strict=True):
            interval = expected.row(algorithm).interval
            mean, half = f"{100 * interval.mean:.1f}", f"{100 * interval.half:.1f}"
            is_best, is_tied = algorithm == expected.best, algorithm in expected.ties
            remarks = [f"finds {100 * expected.detectable(algorithm):.1f}"] if is_tied else []
            remarks += [f"{interval.undefined} undefined"] if interval.undefined else []
            assert cell == (f"**{mean}**" if is_best else mean) + f" ± {half}" + (
                "†°" if is_tied else ""
            ) + ("°" if is_best else "") + (f" ({', '.join(remarks)})" if remarks else "")
    assert [line.split("|")[1].strip() for line in lines[2:6]] == ["domain0", "", "domain1", ""]
    assert "†" in lines[-1]


def test_latex_marks_the_best_and_its_ties() -> None:
    rows = records(2, 2)
    text = latex_table(rows)
    # A best for each target and number of shots, and for the mean at each.
    assert text.count(r"\textbf{") == 5 * 3
    ties = sum(
        len(within_target(rows, target, "auroc", k).ties)
        for target in rows.unique("target")
        for k in (1, 5, 10)
    )
    of_targets, _, means = text.partition("mean of the targets")
    assert of_targets.count(r"$^{\dagger}$") == ties > 0
    # Four targets separate no means.
    assert means.partition(r"\bottomrule")[0].count(r"$^{\dagger}$") == 2 * 3
    assert (
        r" & \multicolumn{3}{c}{1 shot} & \multicolumn{3}{c}{5 shots} & \multicolumn{3}{c}{10"
        r" shots} \\" in text
    )
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7} \cmidrule(lr){8-10}" in text
    assert {line.count("&") for line in text.splitlines() if line.startswith(r"\quad")} == {9}


def test_no_name_breaks_latex() -> None:
    text = latex_table(hostile_records())
    assert text.splitlines()[2] == r"\begin{tabular}{lrrrrrr}"
    assert len(text.splitlines()) == len(
        latex_table(records(2, 1, shots=(1, 5), episodes=4)).splitlines()
    )
    rows = [line for line in text.splitlines() if line.startswith(r"\quad")]
    for row in rows:
        name = row.removeprefix(r"\quad ").split(" & ")[0]
        plain = re.sub(r"\\(text(backslash|ascii\w+|less|greater|bar)|`)\{\}", "", name)
        assert UNESCAPED.findall(plain) == []
        assert plain.count("\\") == len(re.findall(r"\\[{}$&#_%]", plain))


def test_no_name_breaks_markdown() -> None:
    lines = [
        line for line in markdown_table(hostile_records()).splitlines() if line.startswith("|")
    ]
    assert len(lines) == 2 + 2 + 1
    assert {len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", line))) for line in lines} == {9}
    assert not re.search(r"(?<!\\)<", lines[0])


def test_csv_has_every_digit() -> None:
    rows = records(2, 1, shots=(1, 5))
    table = list(csv.DictReader(io.StringIO(csv_table(rows, metric="accuracy"))))
    assert [row["target"] for row in table] == list(rows.unique("target"))
    for row in table:
        for shots, title in ((1, "1 shot"), (5, "5 shots")):
            expected = within_target(rows, row["target"], "accuracy", shots)
            for algorithm in ALGORITHMS:
                interval = expected.row(algorithm).interval
                cells = [row[f"{algorithm}, {title}: {part}"] for part in ("mean", "low", "high")]
                assert [float(cell) for cell in cells] == [
                    interval.mean,
                    interval.low,
                    interval.high,
                ]
                assert int(row[f"{algorithm}, {title}: n"]) == interval.n
                mark = row[f"{algorithm}, {title}: mark"]
                assert mark == (
                    "best, one training each"
                    if algorithm == expected.best
                    else "tie, one training each"
                    if algorithm in expected.ties
                    else ""
                )


def test_csv_keeps_hostile_names() -> None:
    rows = hostile_records()
    table = list(csv.reader(io.StringIO(csv_table(rows), newline="")))
    assert [row[1] for row in table[1:]] == list(map(printable, rows.unique("target")))


@pytest.mark.parametrize(("write", "sign"), [(latex_table, "---"), (markdown_table, "—")])
def test_what_has_no_rows_is_a_dash(write: object, sign: str) -> None:
    rows = records(2, 1, shots=(5,))
    columns = rows.columns
    kept = (columns["algorithm"] != "mm-pt") | (columns["domain"] != "domain1")
    line = [line for line in write(rows[kept]).splitlines() if "task 0" in line][1]  # type: ignore[operator]
    cells = [cell.strip() for cell in re.split(r"[&|]", line.strip("|\\ "))]
    assert cells[-2] == sign


def test_one_episode_has_no_interval() -> None:
    text = markdown_table(records(1, 1, shots=(5,), episodes=1))
    assert "±" not in text.splitlines()[2]


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(InputError, match="choose from"):
        csv_table(records(1, 1), metric="qwk")


def test_names_are_no_formulas_and_no_controls_in_csv() -> None:
    rows = records(1, 1, shots=(5,), algorithms=("=1+1", "@sum"))
    columns = rows.columns
    targets = [f"=cmd/\x1b[2J{name}" for name in columns["target"]]
    table = csv_table(Records({**columns, "target": targets}))
    header, first = csv.reader(io.StringIO(table))
    assert [name for name in header if name.endswith(": mean")] == [
        "'=1+1, 5 shots: mean",
        "'@sum, 5 shots: mean",
    ]
    assert first[1].startswith("'=cmd/\\x1b[2J")
    assert not any(cell[:1] in ("=", "+", "@") for cell in (*header, *first))


def test_a_latex_table_says_where_it_is_too_wide_for_a_page() -> None:
    narrow = latex_table(records(1, 1, algorithms=("a",), shots=(5,)))
    assert "wide at" not in narrow
    two_columns = latex_table(records(1, 1, algorithms=("a", "b", "c"), shots=(5,)))
    assert "There it needs table*." in two_columns
    wide = latex_table(records(1, 1, algorithms=("one", "another", "third"), shots=(1, 5)))
    assert "into landscape (package pdflscape)" in wide.splitlines()[1]


LONG = ("a", "b", "c", "d", "e", "f")


@pytest.mark.parametrize(
    ("algorithms", "shots", "advice"),
    [
        (LONG[:5], (1, 5), "Without what stands in brackets it fits landscape"),
        (LONG[:4], (1, 5, 10), "As a table for each number of shots it fits"),
        (LONG, (1, 5), "each number of shots and without what stands in brackets it fits portrait"),
        ([f"{name} of {'s' * 60}" for name in LONG], (5,), ""),
        ([f"{name} of {'s' * 60}" for name in LONG], (1, 5), ""),
    ],
)
def test_advice_for_a_wide_table_is_one_that_helps(
    algorithms: tuple[str, ...], shots: tuple[int, ...], advice: str
) -> None:
    """The widths are those of the parts: what is called fitting is at most as wide as a page."""
    comment = latex_table(records(1, 1, algorithms=algorithms, shots=shots)).splitlines()[1]
    about = re.match(r"% About (\d+) pt wide", comment)
    assert about is not None
    assert int(about[1]) > 650
    percentage = 65000 // int(about[1])
    assert rf"\resizebox{{\linewidth}}{{!}}{{...}} (package graphicx), to {percentage} %" in comment
    fits = re.search(r"(Without|As a table).* it fits (portrait|landscape).*: (\d+) pt", comment)
    assert (fits is None) == (advice == "")
    if fits is not None:
        assert advice in comment
        assert int(fits[3]) <= {"portrait": 469, "landscape": 650}[fits[2]]

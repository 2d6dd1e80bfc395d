"""What a notebook shows: a table that parses, with every text escaped."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from tests.records.published_table import NAMES, ROWS
from tests.records.sample_records import table
from torchcross.statistics import across_targets, means_of, within_target

RECORDS = table(
    {"<b>maml</b>": [0.5, math.nan, 0.25], "a & b": [0.5, 0.6, 0.7]}, target="x < y"
) + table({"c": [0.5] * 9})


def shown(result):
    """Return the cells and notes of what a notebook gets, read as XML."""
    tree = ElementTree.fromstring(f"<div>{result._repr_html_()}</div>")
    return [node.text or "" for node in tree.iter() if node.tag in ("th", "td", "li", "caption")]


@pytest.mark.parametrize(
    ("result", "texts"),
    [
        (RECORDS, {"<b>maml</b>", "x < y", "nan", "5 more rows"}),
        (
            within_target(RECORDS, "x < y", "auroc", 5),
            {"<b>maml</b>", "0.600 ± 0.248", "best; one training each"},
        ),
        (means_of(RECORDS, "auroc", 5), {"<b>maml</b>", "x < y", "0.417", ""}),
        (
            across_targets(ROWS, NAMES),
            {"IM-PT", "1.167", "Friedman chi2 28.14, p 7.7e-07, F p 5.8e-12; CD 0.781"},
        ),
        (
            across_targets(ROWS[:3], NAMES, targets=["<a>", "b", "c"], related=[["<a>", "b"]]),
            {"3 targets"},
        ),
    ],
    ids=["records", "comparison", "means", "across", "few"],
)
def test_what_a_notebook_shows(result, texts):
    assert texts <= set(shown(result))

"""Tables of pairs: open where they are short, folded where they are long, cut with a word."""

from __future__ import annotations

from itertools import combinations

import pytest

from torchcross.report.html import TableColumn
from torchcross.report.pair_tables import pair_table


def table_of(algorithms: int, best: str = "row 1") -> str:
    names = [f"row {number}" for number in range(algorithms)]
    rows = [((one, other), [f"{one} - {other}"]) for one, other in combinations(names, 2)]
    return "".join(pair_table("Pairs", [TableColumn("pair")], rows, best))


@pytest.mark.parametrize(
    ("algorithms", "shown", "folded"), [(5, 10, False), (8, 28, True), (18, 153 - 136, True)]
)
def test_long_tables_are_folded_and_very_long_ones_cut(
    algorithms: int, shown: int, folded: bool
) -> None:
    html = table_of(algorithms)
    assert html.count("<tr>") - 1 == shown
    assert ("<details>" in html) == folded
    assert ("those with row 1 are shown" in html) == (algorithms == 18)


def test_nothing_is_cut_where_the_best_is_not_known() -> None:
    assert table_of(18, best="").count("<tr>") - 1 == 153

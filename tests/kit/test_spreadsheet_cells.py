"""Names in tables for spreadsheets: no formula, and the same name when it is read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchcross._kit.spreadsheet_cells import cell_of_text, text_of_cell


@given(st.one_of(st.text(), st.text(alphabet="'=+-@a0", max_size=6)))
def test_every_name_survives_and_no_cell_is_a_formula(name: str) -> None:
    cell = cell_of_text(name)
    assert not cell.startswith(("=", "+", "-", "@"))
    assert text_of_cell(cell) == name


@pytest.mark.parametrize("name", ["MAML", "5-way", "'quoted'", "a=b", "", "−1"])
def test_other_names_stay(name: str) -> None:
    assert cell_of_text(name) == name


def test_what_others_wrote_is_read_as_it_is() -> None:
    assert text_of_cell("=name") == "=name"
    assert text_of_cell("'name") == "'name"

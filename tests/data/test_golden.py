"""The plans in `golden/` are drawn again, bit for bit. See golden_plans.py for when they may be
written anew.
"""

from __future__ import annotations

import json

import pytest

from tests.data.golden_plans import CASES, FOLDER, as_text


@pytest.mark.parametrize("name", CASES)
def test_golden_plans_are_drawn_again(name):
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    drawn = CASES[name]()
    assert drawn == json.loads(text)
    assert as_text(drawn) == text


def test_every_file_belongs_to_a_case():
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(CASES)


def test_cases_show_what_they_are_for():
    """A case that would not notice a change of its kind is no golden case."""
    ways = {len(plan["classes"]) for plan in CASES["drawn_ways_and_shots"]()}
    shots = {plan["shots"] for plan in CASES["drawn_ways_and_shots"]()}
    assert len(ways) > 1
    assert len(shots) > 1
    assert {plan["source"] for plan in CASES["mixture"]()} == {
        "toy",
        "stage",
        "scans/sick",
        "signs",
    }
    assert len({plan["source"] for plan in CASES["mixed_batches"]()}) > 2
    assert all(len(plan["classes"]) < 5 for plan in CASES["filtered"]())
    assert {plan["shots"] for plan in CASES["meta_dataset"]()} == {None}

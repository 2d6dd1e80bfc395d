"""A run that is killed (SIGKILL) or interrupted and run again leaves the same bytes as one that is
not.
"""

import pytest

from tests.experiment.killing import INTERRUPTIONS, interruptions, kills
from tests.other_process import results_of_module

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What all the runs left behind, from one process."""
    return results_of_module("tests.experiment.killing", tmp_path_factory.mktemp("killed"))


def test_the_whole_run_left_what_it_should(found):
    whole = found["whole"]
    assert whole["statuses"] == [0]
    names = list(whole["files"])
    assert sum(name.startswith("rows/") for name in names) == 2 * 4 * 2
    assert sum(name.startswith("predictions/") for name in names) == 2 * 4 * 2
    assert sum(name.startswith("examples/") for name in names) == 2 * 4
    assert sum(name.startswith("episodes/plans-") for name in names) == 2 * 2
    assert sum(name.endswith("weights.safetensors") for name in names) == 2 * 3
    assert {
        "report.html",
        "table.md",
        "table.csv",
        "table.tex",
        "failures.json",
        "provenance.json",
    } <= set(names)


@pytest.mark.parametrize("moments", kills(), ids=", ".join)
def test_a_killed_run_goes_on_to_the_same_bytes(found, moments):
    again = found[", ".join(moments)]
    assert again["statuses"] == [*[-9] * len(moments), 0]
    assert again["files"] == found["whole"]["files"]


@pytest.mark.parametrize(
    "moment",
    [
        kill[0]
        for kill in kills()
        if len(kill) == 1 and ("written" in kill[0] or "its name" in kill[0])
    ],
)
def test_the_moments_in_the_middle_of_a_file_are_that(found, moment):
    assert len(found[moment]["left"]) == 1


@pytest.mark.parametrize("moment", interruptions())
def test_an_interrupted_run_says_how_to_go_on_and_does(found, moment):
    again = found[moment]
    assert again["statuses"] == [INTERRUPTIONS[moment][0], 0]
    assert again["files"] == found["whole"]["files"]
    assert not again["left"]
    last = again["said"][0].splitlines()[-1]
    assert "interrupted" in last if "Ctrl-C" in moment else "terminated" in last
    assert "run the same" in last
    assert "Traceback" not in again["said"][0]

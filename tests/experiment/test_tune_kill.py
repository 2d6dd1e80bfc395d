"""A search that is killed (SIGKILL) and started again leaves the same bytes as one that is not."""

import pytest

from tests.experiment.tune_killing import MOMENTS
from tests.other_process import results_of_module

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return results_of_module("tests.experiment.tune_killing", tmp_path_factory.mktemp("killed"))


@pytest.mark.long
def test_the_whole_search_left_what_it_should(found):
    whole = found["whole"]
    assert whole["statuses"] == [0]
    names = list(whole["files"])
    assert sum(name.startswith("trials/") for name in names) == 2 * 2
    assert not any(name.startswith("train/") for name in names)
    assert {"tuning.json", "chosen.json", "trials.csv", "provenance.json"} <= set(names)
    assert "next: torchcross run" in whole["said"][0]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_search_goes_on_to_the_same_bytes(found, moment):
    again = found[moment]
    assert again["statuses"] == [-9, 0]
    assert again["files"] == found["whole"]["files"]
    assert len(again["left"]) == ("written" in moment or "its name" in moment)

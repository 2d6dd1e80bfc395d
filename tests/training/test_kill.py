"""A run that is killed (SIGKILL) and run again ends in the same bytes as one that is not."""

import pytest

from tests.other_process import results_of_module
from tests.training.killing import FEW, MOMENTS, SUBJECTS

pytestmark = pytest.mark.slow

CELLS = [
    (subject, moment) for subject in SUBJECTS for moment in (FEW if subject == "maml" else MOMENTS)
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What all the runs left behind, from one process."""
    return results_of_module("tests.training.killing", tmp_path_factory.mktemp("killed"))


@pytest.mark.parametrize(("subject", "moment"), CELLS)
def test_it_goes_on_to_the_same_bytes(found, subject, moment):
    whole, again = found[subject]["whole"], found[subject][moment]
    assert again["statuses"] == [-9, 0]
    assert again["files"] == whole["files"]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_whole_run_left_what_it_should(found, subject):
    names = sorted(found[subject]["whole"]["files"])
    # Scores grow here: the best checkpoint is among the last two.
    assert names[-3:] == ["log.csv", "result.txt", "weights.safetensors"]
    assert [name for name in names if name.startswith("checkpoint")] == names[:-3]
    assert 2 <= len(names[:-3]) <= 3

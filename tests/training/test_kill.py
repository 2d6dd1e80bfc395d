"""A run that is killed (SIGKILL) and run again ends in the same bytes as one that is not."""

import pytest

from tests.other_process import results_of_module
from tests.training.killing import FEW, MOMENTS, SUBJECTS

pytestmark = pytest.mark.long

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


@pytest.mark.parametrize(("subject", "moment"), CELLS)
def test_a_tracker_gets_every_step_and_lost_steps_twice(found, subject, moment):
    whole, tracked = found[subject]["whole"]["tracked"], found[subject][moment]["tracked"]
    assert [line.split()[0] for line in whole] == [*map(str, range(1, 10)), "finish"]
    assert whole[-1] == tracked[-1] == "finish finished 9"
    # The first part is what came before the kill; the second goes on after a checkpoint.
    steps = [int(line.split()[0]) for line in tracked[:-1]]
    again = next((at for at in range(1, len(steps)) if steps[at] <= steps[at - 1]), len(steps))
    before, after = tracked[:again], tracked[again:-1]
    assert before == whole[: len(before)]
    assert after == whole[len(whole) - 1 - len(after) : -1]
    assert dict.fromkeys([*before, *after, whole[-1]]).keys() == dict.fromkeys(whole).keys()
    if moment == "in step 6":
        # The best checkpoint is that of step 4, and step 5 was lost.
        assert steps == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9]
    if moment == "before the weights are written":
        assert tracked == whole


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_whole_run_left_what_it_should(found, subject):
    names = sorted(found[subject]["whole"]["files"])
    # Scores grow here: the best checkpoint is among the last two.
    assert names[-3:] == ["log.csv", "result.txt", "weights.safetensors"]
    assert [name for name in names if name.startswith("checkpoint")] == names[:-3]
    assert 2 <= len(names[:-3]) <= 3

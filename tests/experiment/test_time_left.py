"""How long the rest of a run takes, and what runs, in words."""

from torchcross.experiment.run.cells import Cell
from torchcross.experiment.run.running_units import unit_text
from torchcross.experiment.run.time_left import UnitTimes


def test_a_unit_takes_as_long_as_those_of_its_row_that_did_the_same():
    times = UnitTimes({"train-a-1": 30.0, "score-a-1": 2.0, "score-b-1": 10.0, "score-b-2": 20.0})
    assert times.seconds_left(["score-a-9", "score-b-9"], 1) == 2.0 + 15.0
    assert times.seconds_left(["score-a-9", "score-b-9"], 2) == 8.5


def test_a_row_without_units_takes_as_long_as_the_others():
    times = UnitTimes({"score-a-1": 2.0, "score-b-1": 10.0})
    assert times.seconds_left(["score-c-1"], 1) == 6.0
    times.add("score-c-0", 1.0)
    assert times.seconds_left(["score-c-1"], 1) == 1.0


def test_nobody_knows_how_long_another_kind_takes():
    times = UnitTimes({"score-a-1": 2.0})
    assert times.seconds_left(["score-a-2", "train-a-1"], 1) is None
    assert times.seconds_left([], 1) == 0
    assert UnitTimes({}).seconds_left(["score-a-2"], 0) is None


def test_what_runs_is_said_in_words():
    oct_, derm = (Cell(name, "mm-pt", 2) for name in ("oct/disease class", "derm/category"))
    text = unit_text("score-mm_pt-seed_2-5_shots-ab12", [oct_])
    assert text == "scoring mm-pt for oct/disease class, 5 shots, seed 2"
    text = unit_text("train-mm_pt-seed_2-ab12", [oct_, derm])
    assert text == "training mm-pt for oct/disease class, seed 2, and 1 more target"
    assert unit_text("train-mm_pt-seed_2-ab12", []) == ""
    assert unit_text("trials-mm_pt", [oct_]) == ""


def test_all_labels_are_said_in_words():
    (cell,) = (Cell("oct/disease class", "supervised", 0),)
    text = unit_text("score-supervised-seed_0-0_shots-ab12", [cell])
    assert text == "scoring supervised for oct/disease class, all labels, seed 0"
    text = unit_text("score-scratch-seed_0-0_shots-ab12", [Cell("oct/a", "clip", 0)])
    assert text == "scoring clip for oct/a, 0 shots, seed 0"


def test_units_may_be_counted_by_their_groups():
    times = UnitTimes({"train-a-1": 30.0, "score-a-1": 2.0})
    assert (
        times.seconds_of_groups({"train-a": 2, "score-a": 3, "score-b": 1, "other-c": 0}, 2)
        == (2 * 30.0 + 4 * 2.0) / 2
    )
    assert times.seconds_of_groups({"train-a": 2, "other-c": 1}, 1) is None

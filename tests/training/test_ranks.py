"""Ranks that one process launches: the curve of one rank, errors in words, deaths, requests."""

import json

import pytest

from tests.training import rank_calls
from torchcross.errors import InputError, RankError
from torchcross.training import FitOptions, read_log, run_on_ranks
from torchcross.training.ranks import usable_ranks
from torchcross.training.world import joined_world, leads_others

SUBJECTS = ("protonet", "maml", "multi-task")
PARTS = (*SUBJECTS, "early")


def rows_differ(left, right):
    assert len(left) == len(right)
    pairs = [pair for rows in zip(left, right, strict=True) for pair in zip(*rows, strict=True)]
    return max(abs(one - other) / max(1.0, abs(other)) for one, other in pairs)


def weights_differ(left, right):
    assert left.keys() == right.keys()
    return max(abs(a - b) for name in left for a, b in zip(left[name], right[name], strict=True))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The same trainings on one rank and on two, and one that begins there and ends here."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    # Two ranks go on where this process stopped, and the other way round.
    rank_calls.curve("maml", two / "begun elsewhere", steps=3)
    alone = rank_calls.curves(one)
    first = run_on_ranks(rank_calls.curves, str(two), ranks=2)
    both = [json.loads((two / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert both[0]["failures"] == first["failures"]
    ended = rank_calls.curve("maml", two / "begun here")
    return {"alone": alone, "ranks": both, "ended": ended}


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_two_ranks_have_the_curve_of_one(found, part):
    alone, (first, second) = found["alone"][part], (each[part] for each in found["ranks"])
    assert rows_differ(first["rows"], alone["rows"]) < 1e-9
    assert weights_differ(first["weights"], alone["weights"]) < 1e-9
    assert first["weights"] == second["weights"]
    assert first["stopped"] == second["stopped"] == alone["stopped"]
    assert (alone["ranks"], first["ranks"]) == ((1,), [2])


@pytest.mark.long
def test_patience_ran_out(found):
    assert found["alone"]["early"]["stopped"] == "patience"


@pytest.mark.long
def test_any_number_of_ranks_goes_on(found):
    whole = found["alone"]["maml"]
    for ended, ranks in ((found["ranks"][0]["begun elsewhere"], [1, 2]), (found["ended"], (2, 1))):
        assert ended["ranks"] == ranks
        assert rows_differ(ended["rows"], whole["rows"]) < 1e-9
        assert weights_differ(ended["weights"], whole["weights"]) < 1e-9


@pytest.mark.long
@pytest.mark.parametrize(
    ("case", "failing", "kind", "text"),
    [
        ("read", 1, "ReadError", "image 7 is gone"),
        ("write", 0, "WriteError", "no space left"),
        ("validate", 1, "ZeroDivisionError", "no queries"),
        ("lock", 0, "InputError", "is being trained in by another process"),
    ],
)
def test_what_one_rank_cannot_do_both_report(found, case, failing, kind, text):
    errors = [each["failures"][case] for each in found["ranks"]]
    assert errors[failing][0] == kind
    assert text in errors[failing][1]
    assert errors[1 - failing][0] == "RankError"
    assert f"rank {failing} of 2 failed" in errors[1 - failing][1]
    assert text in errors[1 - failing][1]


@pytest.mark.long
def test_a_rank_has_its_threads(found):
    assert [each["threads"] for each in found["ranks"]] == [[1, "1"]] * 2


@pytest.mark.long
def test_an_error_of_one_rank_ends_the_other():
    with pytest.raises(RankError, match="rank 1 of 2 failed: KeyError: 'who'"):
        run_on_ranks(rank_calls.raise_alone, 1, ranks=2)


@pytest.mark.long
def test_after_a_death_one_rank_goes_on(tmp_path):
    with pytest.raises(RankError, match=r"rank 1 of 2 \(process \d+\) was ended by .* SIGKILL"):
        run_on_ranks(rank_calls.train, str(tmp_path / "a"), 6, "die", 4, ranks=2)
    assert rank_calls.train(str(tmp_path / "a"), 6, "nothing", 0) == (2, 1)
    rank_calls.train(str(tmp_path / "b"), 6, "nothing", 0)
    ended, whole = (read_log(tmp_path / name / "training") for name in "ab")
    assert rows_differ([row[:4] for row in ended], [row[:4] for row in whole]) < 1e-9


@pytest.mark.long
def test_an_interrupt_ends_all_with_a_checkpoint(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run_on_ranks(rank_calls.train, str(tmp_path / "a"), 100_000, "ask", 3, ranks=2)
    folder = tmp_path / "a" / "training"
    steps = len(read_log(folder))
    assert steps < 100_000
    assert (folder / f"checkpoint-{steps:08d}.safetensors").exists()


@pytest.mark.long
def test_one_rank_leads_and_the_other_follows(tmp_path):
    run_on_ranks(rank_calls.lead_and_follow, str(tmp_path), ranks=2)
    leader, follower = (json.loads((tmp_path / f"done{rank}.json").read_text()) for rank in (0, 1))
    assert leader == [["1", True], ["2", True], ["1", True]]
    assert follower == [["1", False], ["2", True], ["1", False]]


def test_a_process_that_was_launched_alone_has_no_world(monkeypatch):
    for environment in ({}, {"WORLD_SIZE": "1"}):
        monkeypatch.setattr("os.environ", environment)
        assert leads_others()
        with joined_world() as world:
            assert world is None


def test_half_an_environment_of_a_launcher_is_refused(monkeypatch):
    monkeypatch.setattr("os.environ", {"WORLD_SIZE": "2", "RANK": "1"})
    assert not leads_others()
    with (
        pytest.raises(InputError, match="MASTER_ADDR, MASTER_PORT is not set; launch"),
        joined_world(),
    ):
        pass


@pytest.mark.parametrize(
    ("meta_batch", "at_once", "most", "ranks"),
    [(12, None, 5, 4), (12, 2, 5, 3), (1, None, 4, 1), (7, None, 4, 1), (8, 8, 4, 1), (4, 1, 9, 4)],
)
def test_a_step_is_shared_by_as_many_ranks_as_divide_it(meta_batch, at_once, most, ranks):
    options = FitOptions(steps=1, meta_batch=meta_batch, at_once=at_once)
    assert usable_ranks(options, most) == ranks


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"ranks": 0}, "ranks=0 is not an integer of at least 1"),
        ({"ranks": 2, "threads": 0}, "threads=0 is not an integer of at least 1"),
        ({"ranks": 2, "device": "cuda:1"}, "2 ranks cannot share the device 'cuda:1'"),
        ({"ranks": 2, "device": "mps"}, "2 ranks cannot share the device 'mps'"),
        ({"ranks": 99, "device": "cuda"}, "99 ranks need a GPU each, and there are"),
    ],
)
def test_ranks_that_cannot_be(given, text):
    with pytest.raises(InputError, match=text):
        run_on_ranks(rank_calls.rank, **given)

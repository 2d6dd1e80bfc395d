"""Ranks that torchrun launches, and those of this machine, at full length: curves, deaths."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training import launched, rank_calls
from torchcross.errors import RankError
from torchcross.training import TorchMachine, read_log, run_on_ranks

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SUBJECTS = ("protonet", "maml", "multi-task")
STATED_SECONDS = 10


def torchrun(ranks, folder, *pieces):
    torch_run = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}")
    command = [sys.executable, *torch_run, "-m", "tests.training.launched", str(folder), *pieces]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def outcomes(folder):
    return json.loads((folder / "outcomes.json").read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The rows of one rank."""
    folder = tmp_path_factory.mktemp("alone")
    for subject in SUBJECTS:
        launched.train(TorchMachine(), folder, subject)
    return {subject: read_log(folder / subject) for subject in SUBJECTS}


def assert_same_curve(folder, expected):
    rows = read_log(folder, hashed=True)
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ranks", [2, 3])
def test_torchrun_has_the_curve_of_one_rank(ranks, alone, tmp_path):
    """One training takes all ranks, the others fewer: those that are left over wait."""
    pieces = [f"protonet:{ranks}", "multi-task:2", "maml:1"]
    ran = torchrun(ranks, tmp_path, *pieces)
    assert ran.returncode == 0, ran.stderr
    assert outcomes(tmp_path) == {pieces[0]: [ranks], pieces[1]: [2], pieces[2]: [1]}
    for subject in SUBJECTS:
        assert_same_curve(tmp_path / subject, alone[subject])


def test_what_one_rank_cannot_read_ends_one_training_and_no_other(alone, tmp_path):
    ran = torchrun(3, tmp_path, "maml:3:raise", "protonet:3")
    assert ran.returncode == 0, ran.stderr
    assert outcomes(tmp_path) == {
        "maml:3:raise": "RankError: rank 1 of 3 failed: image 7 is gone",
        "protonet:3": [3],
    }
    assert_same_curve(tmp_path / "protonet", alone["protonet"])
    # Another number of ranks goes on.
    assert torchrun(2, tmp_path, "maml:2:raise").returncode == 0
    assert outcomes(tmp_path) == {"maml:2:raise": [3, 2]}
    assert_same_curve(tmp_path / "maml", alone["maml"])


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1)])
def test_a_rank_is_killed_and_others_go_on(before, after, alone, tmp_path):
    ran = torchrun(before, tmp_path, f"maml:{before}:die")
    assert ran.returncode
    assert re.search(r"rank +: 1 .*\n +exitcode +: -9", ran.stderr), ran.stderr
    assert not (tmp_path / "outcomes.json").exists()
    if after == 1:
        result = launched.train(TorchMachine(), tmp_path, "maml", "die")
        assert result.ranks == (before, 1)
    else:
        assert torchrun(after, tmp_path, f"maml:{after}:die").returncode == 0
        assert outcomes(tmp_path) == {f"maml:{after}:die": [before, after]}
    assert_same_curve(tmp_path / "maml", alone["maml"])


def test_ranks_that_hang_are_stopped_in_time(tmp_path):
    begun = tmp_path / "begun"
    with pytest.raises(RankError, match=r"rank 2 of 3 \(process \d+\) was ended by .* SIGKILL"):
        run_on_ranks(rank_calls.hang_while_one_dies, 2, str(begun), ranks=3)
    assert time.time() - begun.stat().st_mtime < STATED_SECONDS


def test_ranks_end_with_the_process_that_launched_them(tmp_path):
    call = f"rank_calls.train, {str(tmp_path)!r}, 1_000_000, 'nothing', 0"
    program = (
        "from tests.training import rank_calls\nfrom torchcross.training import run_on_ranks\n"
    )
    program += f"if __name__ == '__main__':\n    run_on_ranks({call}, ranks=2)\n"
    path = tmp_path / "program.py"
    path.write_text(program)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(path)], env=environment)
    checkpoint = tmp_path / "training" / "checkpoint-00000002.safetensors"
    wait_for(lambda: checkpoint.exists() or len(list(checkpoint.parent.glob("check*"))) > 1)
    parent.kill()
    parent.wait()
    ranks = [int((tmp_path / f"process{rank}").read_text()) for rank in range(2)]
    wait_for(lambda: not any(map(is_alive, ranks)))


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process):
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_three_ranks_of_this_machine(alone, tmp_path):
    assert run_on_ranks(launched_training, str(tmp_path), ranks=3) == (3,)
    assert_same_curve(tmp_path / "multi-task", alone["multi-task"])


def launched_training(folder):
    return launched.train(TorchMachine(), Path(folder), "multi-task").ranks

"""`torchcross run` under torchrun itself: the same rows, a rank killed, other numbers going on."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.experiment.small import files, prepare

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CELLS = ("--algorithms", "protonet,mm-pt", "--targets", "oct", "--shots", "1", "--quiet")
MORE_STEPS = (
    "meta.meta_batch=6",
    "meta.steps=60",
    "meta.validate_every=60",
    "meta.checkpoint_every=3",
)
BATCH = tuple(part for setting in MORE_STEPS for part in ("--set", setting))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("ranks"))


def begin(root, out, launcher=(), more=()):
    command = [sys.executable, *launcher, "-m", "torchcross", "run", str(root / "small.toml")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--out", str(out), *CELLS, *BATCH, *more],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def torchrun(ranks):
    return ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}")


def assert_ends_well(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def ranks_of(out):
    paths = out.glob("train/protonet*/training.json")
    return [json.loads(path.read_text()).get("ranks") for path in paths]


def children(process):
    """The folders in /proc of the processes that a process started."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and f"PPid:\t{process}\n" in (folder / "status").read_text():
                yield folder


def launched_rank(launcher, rank):
    """The process of a rank of torchrun, which has its number in its environment."""
    return next(
        int(folder.name)
        for folder in children(launcher)
        if f"RANK={rank}" in (folder / "environ").read_text().split("\0")
    )


def last_rank(launcher):
    """The last of the processes that a run started."""
    return max(
        int(folder.name)
        for folder in children(launcher)
        if "spawn_main" in (folder / "cmdline").read_text()
    )


def wait_for_training(run, out):
    deadline = time.monotonic() + 200
    while not any(out.rglob("protonet*/checkpoint-*[1-9]*.safetensors")):
        assert time.monotonic() < deadline
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)


def test_torchrun_makes_one_page_and_one_set_of_rows(root):
    out = assert_ends_well(begin(root, root / "three", torchrun(3)))
    assert out.count("| OCT |") == 1
    assert ranks_of(root / "three") == [[3]]
    assert_ends_well(begin(root, root / "again", torchrun(3)))
    again, first = files(root / "again"), files(root / "three")
    # Rows say where their run is.
    made = {name for name in first if name.startswith(("train/", "episodes/", "predictions/"))}
    assert len(made) > 6
    assert {name for name in made if first[name] != again.get(name)} == set()


def test_a_rank_is_killed_and_two_go_on(root):
    out = root / "killed"
    run = begin(root, out, torchrun(3))
    wait_for_training(run, out)
    os.kill(launched_rank(run.pid, 1), signal.SIGKILL)
    before = time.monotonic()
    run.communicate(timeout=100)
    assert run.returncode
    # torchrun waits 30 seconds for a rank that does not end; ours end at once.
    assert time.monotonic() - before < 30
    assert ranks_of(out) == []
    assert_ends_well(begin(root, out, torchrun(2)))
    assert ranks_of(out) == [[3, 2]]


def test_ranks_of_the_settings_are_killed_and_one_process_goes_on(root):
    out = root / "own"
    run = begin(root, out, more=("--jobs", "1", "--set", "machine.ranks=2"))
    wait_for_training(run, out)
    os.kill(last_rank(run.pid), signal.SIGKILL)
    _, err = run.communicate(timeout=100)
    assert run.returncode == 1, err
    assert "was ended by the signal SIGKILL" in err
    assert_ends_well(begin(root, out))
    assert ranks_of(out) == [[2, 1]]

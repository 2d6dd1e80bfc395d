"""Runs as processes of their own: two on one folder, signals from outside, and a disk that takes no
more.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiment.small import command, prepare
from torchcross import cli

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LIMITED = """
import resource, signal, sys
from torchcross import cli, experiment
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
sys.exit(cli.main(sys.argv[1:]))
"""
STEPS = 10_000_000
ENDLESS = (
    "--algorithms",
    "protonet",
    "--set",
    f"meta.steps={STEPS}",
    "--set",
    f"meta.validate_every={STEPS}",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("processes"))


def begun(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    given = [sys.executable, "-W", "error", *arguments]
    return subprocess.Popen(
        given, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )


def training(root, out):
    """A process that is in the middle of a training that would take for ever."""
    logs = "jobs/attempts/*/train/*/log.csv"
    before = max((log.stat().st_size for log in out.glob(logs)), default=0)
    run = begun("-m", "torchcross", *command(root, out, *ENDLESS))
    while not any(log.stat().st_size > before + 300 for log in out.glob(logs)):
        assert run.poll() is None, run.communicate()[1].decode()
        time.sleep(0.05)
    return run


@pytest.mark.long
def test_a_run_can_be_stopped_and_go_on(root, tmp_path):
    out = tmp_path / "run"
    for number, status, word in (
        (signal.SIGINT, 130, b"interrupted"),
        (signal.SIGTERM, 143, b"terminated"),
    ):
        with training(root, out) as first:
            first.send_signal(number)
            _, said = first.communicate()
        assert first.returncode == status, said.decode()
        assert b"Traceback" not in said
        last = said.splitlines()[-1]
        assert word in last
        assert b"run the same" in last
        assert said.count(word) == 1, said.decode()
        assert not list(out.rglob("*.part"))


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of that kind")
def test_a_disk_that_takes_no_more_of_a_file(root, tmp_path):
    """The limit of the system: trainings and the page are too large for it, rows are not."""
    wide = ("--set", "model.backbone.channels=16")
    given = ("--algorithms", "protonet,ncm", "--quiet", *wide)
    with begun("-c", LIMITED, *command(root, tmp_path / "full" / "run", *given)) as run:
        _, said = run.communicate()
    assert run.returncode == 2, said.decode()
    assert b"Traceback" not in said
    assert b"report.html cannot be written (File too large)" in said.splitlines()[-1]
    done = rows(tmp_path / "full" / "run")
    assert {name.partition("-")[0] for name in done} == {"ncm"}
    assert (
        b"cannot be written (File too large)"
        in (tmp_path / "full" / "run" / "failures.json").read_bytes()
    )
    assert cli.main(command(root, tmp_path / "full" / "run", *given)) == 0
    assert cli.main(command(root, tmp_path / "whole" / "run", *given)) == 0
    assert done.items() <= rows(tmp_path / "full" / "run").items()
    assert rows(tmp_path / "full" / "run") == rows(tmp_path / "whole" / "run")


def rows(folder):
    return {path.name: path.read_bytes() for path in (folder / "rows").iterdir()}

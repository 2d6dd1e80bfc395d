"""`torchcross run` on engines: every one of them makes the bytes that one process makes."""

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from distributed import LocalCluster
from ray.cluster_utils import Cluster

from tests.engines.namespaces import MOUNTS, can_unshare, start_apart
from tests.engines.stub_slurm import install, preempt
from tests.experiment.small import files, prepare
from tests.repository.markdown import fences
from torchcross.jobs import JobFolder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("engines"))


def start(root, place, *more, **settings):
    """The command line, with paths that hold in its own working folder alone."""
    # Engines that compute elsewhere must know what is there.
    command = ["run", "small.toml", "--out", f"{place}/run", "--device", "cpu", *more]
    with (root / f"{place}.txt").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "torchcross", *command],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | settings,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(root, place):
    return (root / f"{place}.txt").read_text(encoding="utf-8")


def trainings(root, place):
    return [line for line in said(root, place).splitlines() if line.startswith("training ")]


def wait_for(condition, process, place):
    deadline = time.monotonic() + 400
    while not (found := condition()):
        assert process.poll() is None, said(*place)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def whole(root):
    assert start(root, "whole", "--jobs", "1").wait(300) == 0, said(root, "whole")
    assert len(trainings(root, "whole")) == 6
    return files(root / "whole" / "run")


def test_four_processes_of_this_machine(root, whole):
    process = start(root, "four", "--engine", "local", "--jobs", "4")
    assert process.wait(300) == 0, said(root, "four")
    assert files(root / "four" / "run") == whole


def test_four_calls_on_one_folder(root, whole):
    calls = [start(root, "calls", "--jobs", "1") for _ in range(4)]
    assert [call.wait(300) for call in calls] == [0] * 4, said(root, "calls")
    assert files(root / "calls" / "run") == whole
    # Each training was one call's.
    assert len(trainings(root, "calls")) == 6


def test_jobs_of_slurm_of_which_one_is_preempted(root, whole, tmp_path):
    slurm, run = tmp_path / "slurm", root / "slurm" / "run"
    path = f"{install(slurm)}{os.pathsep}{os.environ['PATH']}"
    options = ("--set", "engine.time=10min", "--set", "engine.slots=3")
    process = start(root, "slurm", "--engine", "slurm", *options, PATH=path)
    wait_for(lambda: preempt_one(run, slurm / "jobs"), process, (root, "slurm"))
    assert process.wait(500) == 0, said(root, "slurm")
    assert files(run) == whole
    assert list((slurm / "jobs").glob("*.requeued"))


def preempt_one(run, jobs):
    """Take the node of a job that makes a unit now; False where there is none."""
    owners = {claim.owner.process for claim in JobFolder(run).claims.all() if claim.owner}
    for path in jobs.glob("*.srun"):
        text = path.read_text()
        if text and int(text) in owners:
            try:
                preempt(jobs.parent, path.stem)
            except ProcessLookupError:
                continue
            return wait_a_while(jobs / f"{path.stem}.requeued")
    return False


def wait_a_while(path):
    """Whether the signal came before the job had ended."""
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return path.exists()


def test_a_ray_cluster_of_which_a_node_dies(root, whole):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        address = f"engine.address={cluster.address}"
        process = start(root, "ray", "--engine", "ray", "--set", address)
        rows = root / "ray" / "run" / "rows"
        wait_for(lambda: list(rows.glob("*.csv")), process, (root, "ray"))
        cluster.remove_node(nodes[0], allow_graceful=False)
        assert process.wait(300) == 0, said(root, "ray")
    finally:
        cluster.shutdown()
    assert files(root / "ray" / "run") == whole


# -- an engine of another package ------------------------------------------------------------------


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The settings of a process that finds the engine of docs/jobs.md as an installed one."""
    folder = tmp_path_factory.mktemp("package")
    page = fences((ROOT / "docs" / "jobs.md").read_text(encoding="utf-8"))
    (code,) = [fence.text for fence in page if "def dask_engine" in fence.text]
    (points,) = [tomllib.loads(fence.text) for fence in page if fence.language == "toml"]
    ((group, names),) = points["project"]["entry-points"].items()
    (folder / "my_engines.py").write_text(code)
    about = folder / "my_engines-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-engines\nVersion: 1.0\n")
    lines = [f"[{group}]", *(f"{name} = {place}" for name, place in names.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}


def start_on(cluster, root, place, package):
    address = f"engine.address={cluster.scheduler_address}"
    return start(root, place, "--engine", "dask", "--set", address, **package)


def test_an_engine_of_another_package(root, whole, package):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        process = start_on(cluster, root, "dask", package)
        assert process.wait(300) == 0, said(root, "dask")
    assert files(root / "dask" / "run") == whole


OTHER_DATA = """
import os, subprocess, sys
subprocess.run(["mount", "--bind", {other!r}, {data!r}], check=True)
worker = ["-m", "distributed.cli.dask_worker", {address!r}, "--nthreads", "1", "--no-nanny"]
os.execv(sys.executable, [sys.executable, *worker, "--no-dashboard"])
"""


@pytest.mark.skipif(not can_unshare(*MOUNTS), reason="nothing can be mounted here")
def test_a_worker_with_other_data_is_refused(root, whole, package, tmp_path):
    other = prepare(tmp_path, datasets=("oct", "bus", "derm"))
    info = other / "data" / "oct" / "info.yaml"
    info.write_text(info.read_text() + "\n# another edition\n")
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        code = OTHER_DATA.format(
            other=str(other / "data"),
            data=str(root / "data"),
            address=cluster.scheduler_address,
        )
        worker = start_apart(MOUNTS, code)
        try:
            process = start_on(cluster, root, "refused", package)
            assert process.wait(300) == 1, said(root, "refused")
        finally:
            worker.kill()
            worker.communicate()
        words = "are of another kind: data datasets oct is '"
        assert words in said(root, "refused")
        assert not list((root / "refused" / "run").glob("rows/*"))
        # A worker with the same data makes the run.
        cluster.scale(1)
        process = start_on(cluster, root, "refused", package)
        assert process.wait(300) == 0, said(root, "refused")
    assert files(root / "refused" / "run") == whole

"""submitit for real: on this machine, and against programs that stand in for Slurm's."""

import os
import threading
import time

import pytest

from tests.engines.stub_slurm import install, preempt
from tests.jobs.sums import Sums, expected, results, runs_of
from torchcross.errors import InputError
from torchcross.jobs import Resources, run_job
from torchcross.jobs.engines.slurm import SlurmEngine


@pytest.mark.slow
def test_units_run_in_processes_of_this_machine(tmp_path):
    engine = SlurmEngine(tmp_path / "logs", cluster="local", time="10min")
    assert run_job(Sums(str(tmp_path), numbers=3), tmp_path, engine).is_complete
    assert results(tmp_path) == expected(3)
    assert runs_of(tmp_path) == ["square0", "square1", "square2", "sum0"]


@pytest.mark.slow
def test_arrays_of_a_cluster_and_a_job_that_is_preempted(tmp_path, monkeypatch):
    slurm, folder = tmp_path / "slurm", tmp_path / "job"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{install(slurm)}{os.pathsep}{os.environ['PATH']}")
    engine = SlurmEngine(folder / "logs", time="10min", partition="gpu")
    results_of_run = []
    job = Sums(str(folder), numbers=3, delay=4.0)
    runner = threading.Thread(target=lambda: results_of_run.append(run_job(job, folder, engine)))
    runner.start()
    wait_for(lambda: list(folder.glob("witnesses/square1.*")))
    # submitit has set its handler when the unit runs.
    preempt(slurm, "100_1")
    runner.join(300)
    assert results_of_run[0].is_complete
    assert results(folder) == expected(3)
    scripts = sorted((folder / "logs").glob("*submission*.sh"))
    assert any("--array=0-2" in script.read_text() for script in scripts)
    assert any("--partition=gpu" in script.read_text() for script in scripts)
    assert (slurm / "jobs" / "100_1.requeued").exists()
    assert runs_of(folder).count("square1") == 2


def test_settings_that_slurm_does_not_know_are_refused(tmp_path):
    engine = SlurmEngine(tmp_path / "logs", cluster="local", partion="gpu")
    with pytest.raises(InputError, match="submitit does not take these settings"):
        run_job(Sums(str(tmp_path)), tmp_path, engine)


@pytest.mark.slow
def test_the_error_of_a_call_is_told(tmp_path):
    engine = SlurmEngine(tmp_path / "logs", cluster="local", time="10min")
    future = engine.submit(int, "no number", resources=Resources())
    error = future.exception(120)
    engine.shutdown()
    assert str(error) == "ValueError: invalid literal for int() with base 10: 'no number'"


@pytest.mark.slow
def test_an_array_that_slurm_refuses_takes_the_one_before_with_it(tmp_path, monkeypatch):
    """Memory decides which jobs are in one array; sbatch refuses the one of large jobs."""
    slurm = tmp_path / "slurm"
    monkeypatch.setenv("PATH", f"{install(slurm)}{os.pathsep}{os.environ['PATH']}")
    (slurm / "closed").write_text("--mem=4GB")
    engine = SlurmEngine(tmp_path / "logs", time="10min", exclude="node7")
    large, small = Resources(memory=4 * 2**30), Resources(memory=2**30)
    with pytest.raises(InputError, match="Invalid partition name specified"):
        submit_together(engine, large, small, small)

    def states():
        return [path.read_text().strip() for path in (slurm / "jobs").glob("*.state")]

    wait_for(lambda: states() == ["RUNNING"] * 2)
    engine.shutdown(cancel=True)
    assert states() == ["CANCELLED"] * 2
    scripts = (tmp_path / "logs").glob("*submission*.sh")
    assert any("--exclude=node7" in script.read_text() for script in scripts)


def test_no_slurm_is_an_error_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="no cluster 'slurm' here"):
        SlurmEngine(tmp_path).submit(len, resources=Resources())


def submit_together(engine, *resources):
    with engine.batch():
        for each in resources:
            engine.submit(time.sleep, 60, resources=each)


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

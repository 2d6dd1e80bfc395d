"""The engine of Slurm where Slurm is not there, or refuses jobs; the rest is in tests/engines."""

import sys
import types
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from torchcross.errors import InputError
from torchcross.jobs import Resources
from torchcross.jobs.engines.slurm import SlurmEngine

SMALL, LARGE = Resources(cores=1), Resources(cores=64)


class Job:
    """Of submitit: it has a number once it is submitted."""

    def __init__(self, asked):
        self.asked = asked

    def done(self):
        return False

    def cancel(self, check):
        assert not check
        self.asked.cancelled.append(self.job_id)


class Executor:
    """Refuses jobs of more cores than there are."""

    asked = SimpleNamespace()

    def __init__(self, folder, cluster):
        if cluster != "slurm":
            raise ValueError(f"AutoExecutor doesn't know any executor named {cluster}")
        if self.asked.is_absent:
            raise RuntimeError('Could not detect "srun", are you indeed on a slurm cluster?')
        self.waiting = None

    def update_parameters(self, **parameters):
        self.asked.parameters = self.parameters = parameters

    @contextmanager
    def batch(self):
        self.waiting = []
        yield
        self.send(self.waiting)

    def submit(self, call, *more):
        job = Job(self.asked)
        if self.waiting is None:
            self.send([job])
        else:
            self.waiting.append(job)
        return job

    def send(self, jobs):
        if self.parameters["cpus_per_task"] > 8:
            raise RuntimeError("sbatch: error: Batch job\n submission failed: too many cores")
        for number, job in enumerate(jobs):
            job.job_id = f"100_{number}"


@pytest.fixture
def asked(monkeypatch):
    asked = SimpleNamespace(is_absent=False, cancelled=[], parameters={})
    module = types.ModuleType("submitit")
    module.AutoExecutor = Executor
    monkeypatch.setattr(Executor, "asked", asked)
    monkeypatch.setitem(sys.modules, "submitit", module)
    return asked


def test_no_slurm_is_an_error_with_the_way_out(asked, tmp_path):
    asked.is_absent = True
    with pytest.raises(InputError, match=r"no cluster 'slurm' here \(Could not detect \"srun\""):
        SlurmEngine(tmp_path).submit(len, resources=SMALL)
    with pytest.raises(InputError, match="no cluster 'slrum' here"):
        SlurmEngine(tmp_path, cluster="slrum").submit(len, resources=SMALL)


def test_jobs_that_slurm_refuses_are_an_error_that_says_why(asked, tmp_path):
    engine = SlurmEngine(tmp_path)
    with pytest.raises(InputError, match=r"take the jobs .*Batch job submission failed: too many"):
        engine.submit(len, resources=LARGE)


def submit_together(engine, *resources):
    with engine.batch():
        for each in resources:
            engine.submit(len, resources=each)


def test_what_slurm_has_taken_before_it_refuses_is_cancelled(asked, tmp_path):
    """submitit sends the array that was begun last first."""
    engine = SlurmEngine(tmp_path)
    with pytest.raises(InputError, match="too many cores"):
        submit_together(engine, LARGE, SMALL, SMALL)
    engine.shutdown(cancel=True)
    assert sorted(asked.cancelled) == ["100_0", "100_1"]


def fail_between(engine):
    with engine.batch():
        engine.submit(len, resources=SMALL)
        raise RuntimeError("mine")


def test_an_error_between_submissions_stays_what_it_is(asked, tmp_path):
    engine = SlurmEngine(tmp_path)
    with pytest.raises(RuntimeError, match="mine"):
        fail_between(engine)
    engine.shutdown(cancel=True)
    assert asked.cancelled == []


def test_options_of_sbatch_are_those_of_slurm_and_others_are_submitits_own(asked, tmp_path):
    options = {"exclude": "node7", "gres": "gpu:a100:1", "slurm_wckey": "w", "nodes": 1}
    engine = SlurmEngine(tmp_path, exclusive=True, **options)
    with engine.batch():
        engine.submit(len, resources=Resources(memory=3 * 2**30))
    engine.shutdown(cancel=True)
    assert asked.parameters == {
        "timeout_min": 60,
        "cpus_per_task": 1,
        "mem_gb": 3,
        "nodes": 1,
        "slurm_exclude": "node7",
        "slurm_gres": "gpu:a100:1",
        "slurm_wckey": "w",
        "slurm_exclusive": True,
    }

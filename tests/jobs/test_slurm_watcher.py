"""The engine of Slurm while Slurm itself does not answer; the rest is in tests/engines."""

import sys
import types
from types import SimpleNamespace

import pytest

from torchcross.errors import EngineWarning
from torchcross.jobs import Resources
from torchcross.jobs.engines import slurm


class Job:
    """A job whose state cannot be asked for at first."""

    def __init__(self, value, failures):
        self.value, self.failures = value, failures

    def done(self):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("squeue: error: Unable to contact slurm controller")
        return True

    def result(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Executor:
    def __init__(self, folder, cluster):
        self.values = [Job(1, 0), Job(2, 3), Job(KeyError("odd"), 0)]

    def update_parameters(self, **parameters):
        pass

    def submit(self, call, *more):
        return self.values.pop(0)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    module = types.ModuleType("submitit")
    errors = {
        name: type(name, (Exception,), {}) for name in ("FailedJobError", "UncompletedJobError")
    }
    module.AutoExecutor, module.core = Executor, SimpleNamespace(utils=SimpleNamespace(**errors))
    monkeypatch.setitem(sys.modules, "submitit", module)
    monkeypatch.setattr(slurm, "_LOOK_EVERY", 0.01)
    engine = slurm.SlurmEngine(tmp_path)
    yield engine
    engine.shutdown()


def test_a_cluster_that_does_not_answer_is_asked_again_and_named_once(engine):
    futures = []

    def ends():
        futures.extend(engine.submit(len, resources=Resources()) for _ in range(3))
        return [future.exception(30) for future in futures]

    with pytest.warns(EngineWarning, match="Unable to contact slurm controller") as said:
        errors = ends()
    assert [futures[0].result(), futures[1].result()] == [1, 2]
    assert isinstance(errors[2], KeyError)
    assert len(said) == 1


def test_where_warnings_are_errors_the_jobs_are_watched_all_the_same(engine):
    futures = [engine.submit(len, resources=Resources()) for _ in range(2)]
    assert futures[1].result(30) == 2

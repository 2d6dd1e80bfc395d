"""The engine of Ray where no node can hold a unit; the rest is in tests/engines."""

import sys
import types
import warnings
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from torchcross.errors import EngineWarning
from torchcross.jobs import Resources
from torchcross.jobs.engines.ray import RayEngine


class Remote:
    """A call that never ends."""

    def options(self, **options):
        return self

    def remote(self, *args):
        return SimpleNamespace(future=Future)


@pytest.fixture
def engine(monkeypatch):
    small, large = {"CPU": 4.0, "memory": 8.0e9}, {"CPU": 64.0, "memory": 64.0e9, "GPU": 1.0}
    nodes = [{"Alive": True, "Resources": small}, {"Alive": False, "Resources": large}]
    module = types.ModuleType("ray")
    module.is_initialized = lambda: True
    module.nodes = lambda: nodes
    module.remote = lambda call: Remote()
    monkeypatch.setitem(sys.modules, "ray", module)
    return RayEngine()


def submit_twice(engine, resources):
    for _ in range(2):
        engine.submit(len, resources=resources)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(cores=8), "has the 8 cores, 0.0 GB and 0 GPUs of a unit"),
        (Resources(memory=16 * 2**30), "has the 1 core, 16.0 GB and 0 GPUs of a unit"),
        (Resources(gpus=0.5), "has the 1 core, 0.0 GB and 0.5 GPUs of a unit"),
    ],
)
def test_a_unit_that_no_node_can_hold_is_warned_of_once(engine, resources, words):
    with pytest.warns(EngineWarning, match="none of the 1 node of the Ray cluster") as said:
        submit_twice(engine, resources)
    assert len(said) == 1
    assert words in str(said[0].message)


def test_a_unit_that_fits_waits_its_turn(engine):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.submit(len, resources=Resources(cores=4, memory=2**30))

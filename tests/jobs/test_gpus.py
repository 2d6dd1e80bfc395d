"""Units see the GPUs that they were given, and no GPU is given away twice. No GPU is needed."""

import os
import subprocess
import sys
import time
from concurrent.futures import wait

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from torchcross.errors import InputError
from torchcross.jobs import LocalEngine, Resources
from torchcross.jobs.engines.devices import gpus_for, visible_gpus

GPUS = ("0", "1", "2")


def visible_after(seconds):
    """What a unit sees, and which process it is; it takes a while, so that others run beside it."""
    time.sleep(seconds)
    return os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()


@pytest.mark.parametrize(
    ("wanted", "used", "expected"),
    [
        (0, {"0": 1.0}, ()),
        (1, {}, ("0",)),
        (1, {"0": 0.5}, ("1",)),
        (2, {"1": 0.1}, ("0", "2")),
        (3, {"1": 0.1}, None),
        (0.5, {"1": 0.5}, ("1",)),
        (0.5, {"0": 0.25, "1": 0.5}, ("1",)),
        (0.5, {"0": 0.75, "1": 0.75, "2": 0.75}, None),
        (1 / 3, {"0": 1 / 3 + 1 / 3}, ("0",)),
        (4, {}, None),
    ],
)
def test_a_share_goes_to_the_fullest_gpu_that_has_room(wanted, used, expected):
    assert gpus_for(wanted, GPUS, used) == expected


@max_examples(50)
@given(st.lists(st.sampled_from([0.25, 1 / 3, 0.5, 1.0, 2.0, 3.0]), max_size=12))
def test_no_gpu_is_given_away_twice(wishes):
    used = dict.fromkeys(GPUS, 0.0)
    for wanted in wishes:
        for gpu in gpus_for(wanted, GPUS, used) or ():
            used[gpu] += min(wanted, 1.0)
            assert used[gpu] <= 1 + 1e-6


def test_the_gpus_of_this_process_have_the_names_that_it_was_given(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7, GPU-1234,unknown")
    assert visible_gpus() == ("7", "GPU-1234")


@pytest.mark.long
def test_a_unit_sees_its_gpu_alone_and_half_a_gpu_is_for_two():
    engine = LocalEngine(jobs=3, cores=3, gpus=[4, "GPU-5"])
    half = Resources(gpus=0.5)
    halves = [engine.submit(visible_after, 1.0, resources=half) for _ in range(2)]
    assert not engine.has_room(Resources(gpus=2))
    whole = engine.submit(visible_after, 1.0, resources=Resources(gpus=1))
    assert not engine.has_room(half)
    assert engine.has_room(Resources()) is False, "three processes run"
    wait([*halves, whole])
    assert [future.result()[0] for future in halves] == ["4", "4"]
    assert whole.result()[0] == "GPU-5"
    both = engine.submit(visible_after, 0.0, resources=Resources(gpus=2)).result()
    assert both[0] == "4,GPU-5"
    again = engine.submit(visible_after, 0.0, resources=Resources(gpus=2)).result()
    assert again == both, "a process that has the GPUs already is used again"
    no_gpu = engine.submit(visible_after, 0.0, resources=Resources()).result()
    assert no_gpu[0] == os.environ.get("CUDA_VISIBLE_DEVICES")
    engine.shutdown()


def test_a_unit_that_wants_more_gpus_than_there_are_is_refused():
    engine = LocalEngine(jobs=1, cores=1, gpus=["0"])
    with pytest.raises(InputError, match="wants 2 GPUs and this machine has 1"):
        engine.submit(os.getpid, resources=Resources(gpus=2))


@pytest.mark.slow
def test_the_environment_is_there_before_the_program_is_imported(tmp_path):
    """A program that imports torch at its top must find the threads and GPUs of its worker."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os\n"
        "seen = os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ.get('OMP_NUM_THREADS')\n"
        "def look():\n"
        "    return seen\n"
        "if __name__ == '__main__':\n"
        "    from torchcross.jobs import LocalEngine, Resources\n"
        "    engine = LocalEngine(jobs=1, cores=2, gpus=['3'])\n"
        "    print(engine.submit(look, resources=Resources(cores=2, gpus=1)).result())\n"
        "    print(os.environ.get('CUDA_VISIBLE_DEVICES'))\n"
        "    engine.shutdown()\n"
    )
    environment = {name: value for name, value in os.environ.items() if "CUDA" not in name}
    ended = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, env=environment, check=True
    )
    assert ended.stdout.splitlines() == ["('3', '2')", "None"]

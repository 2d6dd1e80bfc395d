"""Devices, precisions and ranks: what they change is rounding, or nothing."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from tests.other_process import results_of_module
from tests.training.subjects import SUBJECTS, bits, distance, equal, options
from torchcross.errors import InputError
from torchcross.training import FabricMachine, TorchMachine, fit


def fitted(subject, machine, folder=None, **given):
    make, data = SUBJECTS[subject]
    algorithm = make()
    fit(algorithm, data(), options(**given), machine=machine, folder=folder)
    return bits(algorithm)


class FakeFabric:
    """What a launched Fabric shows; it counts how often it was asked."""

    def __init__(self, precision="32-true"):
        self.device, self.global_rank, self.world_size = torch.device("cpu"), 0, 1
        self.strategy = SimpleNamespace(precision=SimpleNamespace(precision=precision))
        self.entered = self.reduced = 0

    @contextmanager
    def autocast(self):
        self.entered += 1
        yield

    def all_reduce(self, value, reduce_op):
        assert reduce_op == "sum"
        self.reduced += 1
        return value


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
def test_with_fabric_the_numbers_are_the_same(subject, tmp_path):
    fabric = FakeFabric()
    assert equal(fitted(subject, FabricMachine(fabric)), fitted(subject, None))
    assert fabric.entered == 6
    # A run may go on without it.
    fitted(subject, FabricMachine(fabric), tmp_path, steps=3)
    assert equal(fitted(subject, TorchMachine(), tmp_path), fitted(subject, None))


def test_a_fabric_that_cannot_be_used():
    with pytest.raises(InputError, match="is not a Fabric"):
        FabricMachine(object())
    with pytest.raises(InputError, match="precision '16-mixed'"):
        FabricMachine(FakeFabric("16-mixed"))
    assert FabricMachine(FakeFabric("bf16-mixed")).precision == "bf16-mixed"


def test_machines_are_checked():
    with pytest.raises(InputError, match="'quantum' is not a device"):
        TorchMachine("quantum")
    with pytest.raises(InputError, match="precision must be '32' or 'bf16-mixed', not '16'"):
        TorchMachine(precision="16")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_bfloat16_is_near_and_not_the_same(subject):
    whole = fitted(subject, None, optimiser="sgd")
    mixed = fitted(subject, TorchMachine(precision="bf16-mixed"), optimiser="sgd")
    moved = distance(bits(SUBJECTS[subject][0]()), whole)
    assert 0 < distance(mixed, whole) < 0.5 * moved
    assert all(value.dtype == whole[name].dtype for name, value in mixed.items())


# -- ranks -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return results_of_module("tests.training.ranked", tmp_path_factory.mktemp("ranked"))


def tensors(weights):
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}


@pytest.mark.long
@pytest.mark.parametrize("subject", SUBJECTS)
def test_two_ranks_do_what_one_does(found, subject):
    alone = found["alone"][subject]["weights"]
    first, second = (rank["plain"][subject]["weights"] for rank in found["ranks"])
    assert first == second
    start = {name: value.double().flatten() for name, value in bits(SUBJECTS[subject][0]()).items()}
    moved = distance(start, tensors(alone))
    assert distance(tensors(first), tensors(alone)) < 0.01 * moved


@pytest.mark.long
def test_two_ranks_go_on_where_they_were(found):
    first, second = (rank["resumed"] for rank in found["ranks"])
    assert first == second
    assert (first["short"]["steps"], first["longer"]["steps"]) == (3, 6)
    assert first["longer"]["best"] == first["whole"]["best"]
    assert first["longer"]["weights"] == first["whole"]["weights"]
    assert {"log.csv", "weights.safetensors", "lock"} < set(first["files"])


def test_a_loss_that_one_rank_has_ends_both(found):
    first, second = (rank["diverged"] for rank in found["ranks"])
    assert "step 2 was not done" in first
    assert "one of another rank" in first
    assert "step 2 was not done" in second
    assert "episode 5 of" in second


def test_both_ranks_stop_after_the_same_step(found):
    first, second = (rank["interrupted"] for rank in found["ranks"])
    assert first == second
    assert "training stopped after step 4 of 6" in first


def test_the_first_rank_alone_tracks(found):
    first, second = (rank["tracked"] for rank in found["ranks"])
    assert first["steps"] == [1, 2, 3]
    assert first["summaries"] == [{"state": "finished", "steps": 3, "stopped": "steps"}]
    assert [summary["state"] for summary in first["failures"]] == ["failed"]
    assert second == {"steps": [], "summaries": [], "failures": []}


def test_a_meta_batch_that_ranks_cannot_share(found):
    for rank in found["ranks"]:
        assert "meta_batch=3 is not divisible among 2 ranks" in rank["indivisible"]

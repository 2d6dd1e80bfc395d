"""Calls in several threads are independent: the same bits as in one thread."""

import os
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from tests.algorithms.cases import TARGETS, episode_of
from torchcross.algorithms import ANIL, IMAML, MAML, FineTune, ProtoNet, Reptile
from torchcross.errors import InputError
from torchcross.functional import Network

THREADS = 8
CALLS = int(os.environ.get("THREAD_CALLS", "5"))
"""Calls of each thread for each kind of call; `make threads` takes 1,000."""

EPISODES = [episode_of(TARGETS["multiclass"], seed=seed, size=4) for seed in range(3)]
SUPPORTS = [(episode.support, episode.task) for episode in EPISODES]


def tiny(dropout=0.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Dropout(dropout), nn.Flatten()
        return nn.Sequential(*layers).double()


def algorithms():
    return [
        MAML(tiny(), steps=2),
        MAML(tiny(0.3), steps=2, memory="low"),
        MAML(tiny(), steps=2, norm="running", engine="mixed", optimiser="adam"),
        MAML(tiny(), steps=2, lanes=2),
        MAML(tiny(), steps=2, norm="per_step", rates="per_layer_step"),
        ANIL(tiny(), steps=2),
        IMAML(tiny(), steps=2),
        ProtoNet(tiny(), norm="support"),
        Reptile(tiny(), steps=2),
        FineTune(tiny(), steps=2),
    ]


def meta_gradients(algorithm, index):
    episodes = [EPISODES[index], EPISODES[(index + 1) % 3]]
    loss = algorithm.double().meta_loss(episodes, epoch=0)
    learned = [value for value in algorithm.parameters() if value.requires_grad]
    return [loss.detach(), *torch.autograd.grad(loss, learned, materialize_grads=True)]


def tensors_of(predictor):
    return [value for tree in predictor.tensors.values() for value in tree.values()]


def calls(kind):
    """Functions of an episode's number that return tensors."""
    learners = algorithms()
    predictors = [learner.adapt(*SUPPORTS[0]) for learner in learners]
    families = {
        "predict": [
            lambda index, predictor=predictor: [predictor(EPISODES[index].query.x).probabilities]
            for predictor in predictors
        ],
        "adapt": [
            lambda index, learner=learner: tensors_of(learner.adapt(*SUPPORTS[index]))
            for learner in learners
        ],
        "meta_loss": [
            lambda index, learner=learner: meta_gradients(learner, index) for learner in learners
        ],
    }
    if kind == "all at once":
        return [call for family in families.values() for call in family]
    return families[kind]


@pytest.fixture
def hurried():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_threads(work, count=THREADS):
    barrier = threading.Barrier(count)

    def wait_and_work(thread):
        barrier.wait()
        return work(thread)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_work, range(count)))


@pytest.mark.long
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ["predict", "adapt", "meta_loss", "all at once"])
def test_eight_threads_get_the_bits_of_one(kind):
    expected = [[call(index) for index in range(3)] for call in calls(kind)]
    # New algorithms, so that their first uses meet in the threads too.
    family = calls(kind)

    def work(thread):
        for turn in range(CALLS):
            number, index = (turn + 5 * thread) % len(family), (turn + thread) % 3
            tensors = family[number](index)
            assert all(map(torch.equal, tensors, expected[number][index])), f"call {number}"
            assert len(tensors) == len(expected[number][index])

    in_threads(work)


def test_generators_that_another_thread_moves_are_no_reason_to_refuse():
    is_over = threading.Event()
    streams = [], []

    def draw(take):
        while not is_over.is_set():
            take.append((float(torch.rand(())), random.random(), np.random.rand()))  # noqa: NPY002

    def sequences():
        torch.manual_seed(1), random.seed(1), np.random.seed(1)  # noqa: NPY002

    class Waits(nn.Linear):
        def forward(self, x):
            # Not for ever: a second look keeps the other thread from drawing numpy's numbers.
            count, end = len(streams[0]), time.monotonic() + 0.1
            while len(streams[0]) < count + 3 and time.monotonic() < end:
                time.sleep(0.001)
            return super().forward(x)

    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        network = Network(Waits(2, 2))
        sequences()
        drawer = threading.Thread(target=draw, args=(streams[0],))
        drawer.start()
        network.support(*network.state(), torch.ones(1, 2))
        is_over.set()
        drawer.join()
        sequences()
        streams[1].extend(
            (float(torch.rand(())), random.random(), np.random.rand())  # noqa: NPY002
            for _ in streams[0]
        )
        assert streams[0] == streams[1]
    finally:
        is_over.set()
        torch.set_rng_state(states[0]), random.setstate(states[1]), np.random.set_state(states[2])  # noqa: NPY002


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) + random.random()


def test_every_thread_refuses_an_impure_module_at_its_first_use():
    network = Network(Noisy(2, 2))

    def use(_):
        with pytest.raises(InputError, match=r"global random generator in its forward \(Python's"):
            network.support(*network.state(), torch.ones(1, 2))

    in_threads(use)


def test_a_forward_inside_a_forward_of_the_same_network_is_another_call():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    network = Network(module)
    params, buffers = network.state()
    state = {name: value.detach().clone() for name, value in params.items()}, buffers
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    expected = [network.support(*state, part)[0] for part in (x, x[:3])]
    inner_outputs = []

    def look_again(layer, args, output):
        if len(args[0]) == 4:
            inner_outputs.append(network.support(*state, args[0][:3])[0])

    module[0].register_forward_hook(look_again)
    output, _ = network.support(*state, x)
    assert torch.equal(output, expected[0])
    assert torch.equal(inner_outputs[-1], expected[1])

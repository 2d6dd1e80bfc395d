"""Small things to train: an algorithm, what it learns from, how it is scored, and a run."""

from dataclasses import replace
from itertools import islice

import torch

from torchcross.algorithms import MAML, Algorithm, MultiTask, ProtoNet
from torchcross.backbones import conv4
from torchcross.data import EpisodeSampler, MixedBatches, toys
from torchcross.training import Feed, FitOptions, fit


def sources():
    return [toys.binary(40, size=16), toys.multiclass(60, size=16, domain="chalk")]


def sampler(seed=0):
    return EpisodeSampler(sources(), ways=2, shots=1, queries=2, seed=seed)


def protonet(seed=0):
    return ProtoNet(conv4(4, in_channels=1, seed=seed))


def maml():
    return MAML(conv4(4, in_channels=1), steps=1)


def multi_task():
    """Running statistics of BatchNorm, and heads that some batches do not train."""
    return MultiTask(conv4(4, in_channels=1), [source.task for source in sources()])


def batches(seed=0):
    return MixedBatches(sources(), batch_size=8, seed=seed)


SUBJECTS = {
    "protonet": (protonet, sampler),
    "maml": (maml, sampler),
    "multi-task": (multi_task, batches),
}


def options(**given):
    return FitOptions(**{"steps": 6, "meta_batch": 2, "lr": 0.01, **given})


def fitted(
    subject="protonet",
    data=None,
    *,
    algorithm=None,
    folder=None,
    validate=None,
    transform=None,
    **given,
):
    make, feed = SUBJECTS[subject]
    algorithm = make() if algorithm is None else algorithm
    result = fit(
        algorithm,
        feed() if data is None else data,
        options(**given),
        folder=folder,
        validate=validate,
        transform=transform,
    )
    return algorithm, result


def bits(algorithm):
    return {name: value.detach().clone() for name, value in algorithm.state_dict().items()}


def equal(left, right):
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )


def distance(left, right):
    return max(float((left[name].double() - right[name].double()).abs().max()) for name in left)


def magnitude(algorithm):
    """A score that is a function of the weights."""
    return sum(float(value.detach().abs().sum()) for value in algorithm.parameters())


class Scores:
    """Scores that were decided beforehand, in the order of the calls, and the weights at each of
    them.
    """

    def __init__(self, *scores):
        self.scores = iter(scores)
        self.seen = []

    def __call__(self, algorithm):
        self.seen.append(bits(algorithm))
        return next(self.scores)


class Told(Algorithm):
    """An algorithm that does something first, at the steps' own numbers:
    `told(self, number of the call)`.
    """

    def __init__(self, inner, told):
        super().__init__()
        self.inner, self.told, self.calls = inner, told, 0

    def training_step(self, episodes, **given):
        self.calls += 1
        step = self.inner.training_step(episodes, **given)
        buffers = {f"inner.{name}": value for name, value in step.buffers.items()}
        return self.told(self, self.calls, replace(step, buffers=buffers), episodes)

    def adapt(self, support, task, **given):
        return self.inner.adapt(support, task, **given)

    def protocol(self):
        return self.inner.protocol()


class Recorder:
    """A tracker that writes down what it gets: (step, numbers), and the summaries."""

    def __init__(self):
        self.rows, self.summaries = [], []

    def log(self, step, numbers):
        self.rows.append((step, numbers))

    def finish(self, summary):
        self.summaries.append(summary)

    @property
    def steps(self):
        return [step for step, _ in self.rows]


class Few(Feed):
    """A feed of one's own: the sampler's episodes, without their plans, and as many as it likes."""

    def __init__(self, episodes, count):
        self.episodes, self.count, self.asked = episodes, count, []

    def read(self, start, stop, *, rank=0, ranks=1):
        self.asked.append((start, stop))
        numbers = range(start + rank, stop, ranks)
        return islice((replace(self.episodes[index], plan=None) for index in numbers), self.count)

    def fingerprint(self, count):
        return "few"

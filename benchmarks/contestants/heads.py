"""Heads on features that are there already: 5 ways, 5 shots, 10 queries a class, 1,280 features."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearn
from threadpoolctl import threadpool_limits

from torchcross.algorithms import (
    Algorithm,
    ClosedForm,
    LinearProbe,
    LogisticRegression,
    ProtoNet,
    Ridge,
    SimpleShot,
)
from torchcross.backbones import vectors
from torchcross.episode import Batch, Episode
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Target
from torchcross.task import Task

WAYS, SHOTS, QUERIES, WIDTH = 5, 5, 10, 1280
MANY, FEW = 64, 4
C = 10.0
NAMES = [f"class {at}" for at in range(WAYS)]
TARGETS: dict[str, Target] = {
    "multi-class": MultiClass(NAMES),
    "binary": Binary(),
    "multi-label": MultiLabel(NAMES),
    "ordinal": Ordinal(NAMES),
}
Work = Callable[[int], list[Any]]


def contestants(inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, Work]:
    """Each predicts its episodes so often, and returns the probabilities of the last ones.

    Those in batches have `MANY` episodes, the others `FEW`.
    """
    torch.set_num_threads(1)
    threadpool_limits(limits=1)
    net = vectors(WIDTH)
    episodes = {
        kind: [made_up_episode(target, seed) for seed in range(MANY)]
        for kind, target in TARGETS.items()
    }
    heads: dict[str, ClosedForm] = {
        "mean over three C": LogisticRegression(net, C=(1, 10, 100)),
        "SimpleShot": SimpleShot(net),
        "ProtoNet": ProtoNet(net, norm="frozen"),
        "Ridge": Ridge(net, norm="frozen"),
    }
    logistic, some = LogisticRegression(net, C=C), episodes["multi-class"]
    batches = {
        **{f"logistic, {kind}": (logistic, each) for kind, each in episodes.items()},
        **{f"{name}, multi-class": (head, some) for name, head in heads.items()},
    }
    works: dict[str, Callable[[], list[Any]]] = {
        **{f"{name}, batch": partial(_in_batches, *each) for name, each in batches.items()},
        "logistic, multi-class": partial(_one_by_one, logistic, some[:FEW]),
        "LinearProbe, multi-class": partial(_one_by_one, LinearProbe(net), some[:FEW]),
        "scikit-learn, multi-class": partial(_by_scikit_learn, 1e-4, some[:FEW]),
        "scikit-learn to 1e-10, multi-class": partial(_by_scikit_learn, 1e-10, some[:FEW]),
    }
    return {name: partial(_repeat, work) for name, work in works.items()}


def made_up_episode(target: Target, seed: int) -> Episode:
    """Features with a large common mean and a direction for each class, as networks make them."""
    generator = torch.Generator().manual_seed(seed)
    means = 1 + 0.15 * torch.randn(WAYS, WIDTH, generator=generator)
    batches = []
    for count in (SHOTS, QUERIES):
        codes = torch.arange(WAYS).repeat_interleave(count)
        noise = torch.randn(len(codes), WIDTH, generator=generator)
        labels = codes
        if target.label_shape:
            labels = F.one_hot(codes)
        elif target.num_classes == 2:
            labels = (codes > 2).long()
        batches.append(Batch(torch.relu(means[codes] + noise), labels))
    return Episode(*batches, Task("made-up", target))


def _repeat(work: Callable[[], list[Any]], count: int) -> list[Any]:
    for _ in range(count):
        found = work()
    return [np.asarray(each, dtype=np.float64).ravel().tolist() for each in found[:FEW]]


def _in_batches(algorithm: ClosedForm, episodes: list[Episode]) -> list[Any]:
    return [prediction.probabilities for prediction in algorithm.predict_batch(episodes)]


def _one_by_one(algorithm: Algorithm, episodes: list[Episode]) -> list[Any]:
    predictors = ((algorithm.adapt(each.support, each.task), each) for each in episodes)
    return [predictor(each.query.x).probabilities for predictor, each in predictors]


def _by_scikit_learn(tolerance: float, episodes: list[Episode]) -> list[Any]:
    found = []
    for each in episodes:
        x, q = (
            F.normalize(batch.x.double(), dim=1).numpy() for batch in (each.support, each.query)
        )
        model = ScikitLearn(C=C, tol=tolerance, max_iter=10_000)
        with warnings.catch_warnings():
            # lbfgs may stop at the end of its precision before it comes to so small a gradient.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, each.support.y.numpy())
        found.append(model.predict_proba(q))
    return found

"""Task2Vec by the published code, from a checkout of it, on a probe of this repository."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchcross import backbones

BATCH = 64
"""Images of a gradient: the published default."""


def main(
    inputs: Mapping[str, NDArray[Any]], checkout: str, weights: str, draws: str, repeats: str
) -> dict[str, Any]:
    """Seconds of one core for the head and for each estimate, the estimates, and the head.

    The code squares the gradient of a batch's mean loss. Times `BATCH` that estimates the
    information without bias where no image sees another, so BatchNorm uses its running statistics
    here; the published code leaves it in training mode, against its own comment.
    """
    torch.set_num_threads(1)
    sys.path.insert(0, checkout)
    from task2vec import Task2Vec  # type: ignore[import-not-found]

    torch.manual_seed(0)
    images, labels = torch.from_numpy(inputs["images"]), torch.from_numpy(inputs["labels"])
    probe = _probe_class()(_network(weights), int(labels.max()) + 1)
    data = torch.utils.data.TensorDataset(images, labels)
    published = Task2Vec(probe, loader_opts={"num_workers": 0, "batch_size": BATCH})
    probe.eval()

    def prepare() -> None:
        published._cache_features(data, loader_opts=published.loader_opts)
        published._fit_classifier()

    def estimate() -> NDArray[np.float64]:
        published.montecarlo_fisher(data)
        information: NDArray[np.float64] = published.extract_embedding(probe).hessian
        return information * BATCH

    fitting, _ = _seconds(prepare)
    published.loader_opts["num_samples"] = int(draws)
    measured = [_seconds(estimate) for _ in range(int(repeats))]
    return {
        "fitting": fitting,
        "seconds": np.array([seconds for seconds, _ in measured]),
        "estimates": np.stack([values for _, values in measured]),
        "weight": probe.fc.weight.detach().numpy(),
        "bias": probe.fc.bias.detach().numpy(),
    }


def _probe_class() -> type[Any]:
    """The published base class comes from the checkout, which is known at run time only."""
    from task2vec import ProbeNetwork

    class Probe(ProbeNetwork):  # type: ignore[misc]
        def __init__(self, network: nn.Module, classes: int) -> None:
            super().__init__()
            self.features = network
            self.fc = nn.Linear(network.num_features, classes)  # type: ignore[arg-type]
            self.layers = [self.features, self.fc]

        @property
        def classifier(self) -> nn.Module:
            return self.fc

        def forward(self, images: Tensor, start_from: int = 0) -> Tensor:
            return self.fc(self.features(images))  # type: ignore[no-any-return]

    return Probe


def _network(weights: str) -> nn.Module:
    network = backbones.mobilenet_v2(grey="expand")
    if weights:
        backbones.load_weights(network, weights)
    return network


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result

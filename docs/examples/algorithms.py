"""Every algorithm in seconds, on made-up images of all four target types.

Meta-learners train for a moment on the domain `ink` and predict in the domain `chalk`, whose images
look inverted. Pre-training learns from the same images batch by batch and is then fine-tuned. The
table shows AUROC on new episodes, 5 shots. With so little training it shows how to use each
algorithm, not which one is best.
"""

from __future__ import annotations

import argparse

import torch

import torchcross as tx
from torchcross import algorithms, backbones
from torchcross.data import toys

TOYS = (toys.multiclass, toys.binary, toys.multilabel, toys.ordinal)

META_LEARNERS = {
    "MAML (mm-MAML)": lambda net: algorithms.MAML(net, steps=4, lr=0.1, head="zero"),
    "MAML, first order": lambda net: algorithms.MAML(net, steps=4, order=1),
    "MAML++": lambda net: algorithms.MAML(
        net, steps=3, rates="per_layer_step", multi_step=5, norm="per_step"
    ),
    "ANIL": lambda net: algorithms.ANIL(net),
    "BOIL": lambda net: algorithms.BOIL(net, steps=2),
    "Meta-SGD": lambda net: algorithms.MetaSGD(net, steps=2),
    "Proto-MAML": lambda net: algorithms.ProtoMAML(net, steps=2, lr=0.02),
    "iMAML": lambda net: algorithms.IMAML(net, steps=8),
    "Reptile": lambda net: algorithms.Reptile(net),
    "ProtoNet": lambda net: algorithms.ProtoNet(net),
    "ProtoNet, cosine": lambda net: algorithms.ProtoNet(net, metric="cosine"),
    "R2-D2": lambda net: algorithms.Ridge(net),
}
PRETRAINED = {
    "mm-PT, fine-tuned": lambda net: algorithms.FineTune(net, steps=20),
    "mm-PT, linear probe": lambda net: algorithms.LinearProbe(net),
    "mm-PT, logistic": lambda net: algorithms.LogisticRegression(net),
    "mm-PT, SimpleShot": lambda net: algorithms.SimpleShot(net),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3, help="meta-training steps")
    parser.add_argument("--episodes", type=int, default=4, help="test episodes for each task")
    arguments = parser.parse_args()
    sources = [make(300, size=16) for make in TOYS]
    print(f"{'algorithm':<22}" + "".join(f"{source.task.target.kind:>12}" for source in sources))
    for name, make in META_LEARNERS.items():
        learner = train(make(backbone()), sources, arguments.steps)
        report(name, learner, arguments.episodes)
    net = pretrain(sources, 5 * arguments.steps)
    for name, make in PRETRAINED.items():
        report(name, make(net), arguments.episodes)


def backbone():
    return backbones.conv4(8, in_channels=1, seed=0)


def train(algorithm: algorithms.Algorithm, sources, steps: int) -> algorithms.Algorithm:
    """One loop for all of them: episodes of every target type in each meta-batch."""
    episodes = [
        tx.Episodes(tx.EpisodeSampler(source, shots=5, queries=5, seed=0)) for source in sources
    ]
    optimiser = torch.optim.Adam(algorithm.parameters(), 1e-3)
    for number in range(steps):
        step = algorithm.training_step([task[number] for task in episodes], epoch=number)
        commit(step, algorithm, optimiser)
    return algorithm


def pretrain(sources, steps: int) -> torch.nn.Module:
    """mm-PT: one head per task, a batch of one task at a time."""
    pretraining = algorithms.MultiTask(backbone(), [source.task for source in sources])
    batches = tx.MixedBatches(sources, batch_size=32, seed=0)
    optimiser = torch.optim.Adam(pretraining.parameters(), 1e-3)
    for number in range(steps):
        step = pretraining.training_step([batches.read(batches[number])])
        commit(step, pretraining, optimiser)
    return pretraining.backbone


def commit(
    step: algorithms.Step, module: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    """Take the step; nothing else in this script changes a parameter or a buffer."""
    optimiser.zero_grad()
    step.loss.backward()
    optimiser.step()
    for name, value in step.buffers.items():
        module.get_buffer(name).copy_(value)


def report(name: str, algorithm: algorithms.Algorithm, count: int) -> None:
    cells = []
    for make in TOYS:
        source = make(300, domain="chalk", size=16)
        episodes, scores = tx.Episodes(tx.EpisodeSampler(source, shots=5, queries=5, seed=1)), []
        for number in range(count):
            episode = episodes[number]
            predictor = algorithm.adapt(episode.support, episode.task, index=number)
            prediction = predictor(episode.query.x).plain
            scores.append(
                float(source.task.target.evaluate(prediction, episode.query.y, ["auroc"])["auroc"])
            )
        cells.append(f"{sum(scores) / count:>12.3f}")
    print(f"{name:<22}" + "".join(cells))


if __name__ == "__main__":
    main()

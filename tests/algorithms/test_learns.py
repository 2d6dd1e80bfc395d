"""Meta-learning beats no meta-learning on new glyphs, with one example of each class."""

from functools import cache

import pytest
import torch

from torchcross.algorithms import MAML, MultiTask, ProtoNet
from torchcross.backbones import conv4
from torchcross.data import Episodes, EpisodeSampler, MixedBatches, TensorSource
from torchcross.targets import MultiClass
from torchcross.task import Task

pytestmark = pytest.mark.slow

SIZE, PER_CLASS, WAYS = 16, 12, 5
STEPS, LR = 3, 0.1
ITERATIONS, META_BATCH = 60, 4


def glyphs(classes, seed):
    """A small Omniglot: a class is a few random strokes, an image a shifted, noisy drawing."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(shape, generator=generator)

    ends = 3 + 10 * uniform(classes, 3, 2, 2)
    along = torch.linspace(0, 1, 12)[:, None]
    points = (ends[:, :, :1] * (1 - along) + ends[:, :, 1:] * along).flatten(1, 2)
    jitter = (
        points[:, None]
        + 4 * uniform(classes, PER_CLASS, 1, 2)
        - 2
        + 0.8 * uniform(classes, PER_CLASS, 36, 2)
        - 0.4
    )
    ticks = torch.arange(SIZE) + 0.5
    x, y = torch.meshgrid(ticks, ticks, indexing="xy")
    apart = (x - jitter[..., 0, None, None]) ** 2 + (y - jitter[..., 1, None, None]) ** 2
    images = torch.exp(-apart / 1.2).amax(2) + 0.25 * torch.randn(
        (classes, PER_CLASS, SIZE, SIZE), generator=generator
    )
    labels = torch.arange(classes).repeat_interleave(PER_CLASS)
    names = [f"glyph {seed}.{at}" for at in range(classes)]
    return TensorSource(
        images.reshape(-1, 1, SIZE, SIZE), labels.numpy(), Task(f"glyphs {seed}", MultiClass(names))
    )


@cache
def training_glyphs():
    return glyphs(40, 1)


def episodes_of(source, seed):
    return Episodes(EpisodeSampler(source, ways=WAYS, shots=1, queries=5, seed=seed))


def accuracy(algorithm, count=60):
    right = total = 0
    episodes = episodes_of(glyphs(20, 2), seed=9)
    for number in range(count):
        episode = episodes[number]
        decisions = algorithm.adapt(episode.support, episode.task)(episode.query.x).decisions
        right += int((decisions == episode.query.y).sum())
        total += len(decisions)
    return right / total


def backbone():
    return conv4(16, in_channels=1, seed=0)


def trained(algorithm, rate=3e-3):
    episodes = episodes_of(training_glyphs(), seed=0)
    optimiser = torch.optim.Adam(algorithm.parameters(), rate)
    for at in range(ITERATIONS):
        step = algorithm.training_step(
            [episodes[META_BATCH * at + place] for place in range(META_BATCH)]
        )
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
    return algorithm


def pretrained():
    """The same images as often as meta-training sees them, through one head for all classes."""
    learner = MultiTask(backbone(), [training_glyphs().task])
    batches = MixedBatches(training_glyphs(), batch_size=60, seed=0)
    optimiser = torch.optim.Adam(learner.parameters(), 3e-3)
    for number in range(2 * ITERATIONS):
        loss = learner.loss([batches.read(batches[number])])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return learner.backbone


@pytest.fixture(scope="module")
def pretrained_backbone():
    return pretrained()


@pytest.mark.long
@pytest.mark.parametrize(
    "make", [lambda net: MAML(net, steps=STEPS, lr=LR), ProtoNet], ids=["maml", "protonet"]
)
def test_meta_learning_beats_the_untrained_start_and_plain_pretraining(make, pretrained_backbone):
    learned = accuracy(trained(make(backbone())))
    untrained, plain = accuracy(make(backbone())), accuracy(make(pretrained_backbone))
    assert learned > untrained + 0.2
    assert learned > plain + 0.05

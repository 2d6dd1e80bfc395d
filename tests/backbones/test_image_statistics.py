"""Eight statistics say how an image looks, on any number of channels, and nothing of its layout."""

import numpy as np
import pytest
import torch

from torchcross.algorithms import Ridge
from torchcross.backbones import STATISTICS, build, image_statistics
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.episode import Batch


def statistics(images):
    """The statistics as they are: a new network's running mean is 0, its variance 1."""
    values = image_statistics(in_channels=images.shape[1]).double().eval()(images)
    return dict(zip(STATISTICS, values.T, strict=True))


def images(channels=3, side=12, count=5):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, side, side, generator=generator, dtype=torch.float64) ** 2


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_they_are_what_numpy_says(channels):
    batch = images(channels)
    grey = batch.mean(1).numpy()
    away = grey - grey.mean((1, 2), keepdims=True)
    spread = np.sqrt((away**2).mean((1, 2)))

    def edges(pixels):
        steps = [np.diff(pixels, axis=axis).reshape(len(pixels), -1) ** 2 for axis in (1, 2)]
        return np.sqrt(np.concatenate(steps, 1).mean(1))

    blocks = grey.reshape(len(grey), 3, 4, 3, 4).mean((2, 4))
    expected = {
        "mean": grey.mean((1, 2)),
        "standard deviation": spread,
        "skewness": (away**3).mean((1, 2)) / spread**3,
        "kurtosis": (away**4).mean((1, 2)) / spread**4,
        "fine edges": edges(grey),
        "coarse edges": edges(blocks),
        "colourfulness": batch.numpy().std(1).mean((1, 2)),
        "warmth": (batch[:, 0] - batch[:, -1]).mean((1, 2)).numpy(),
    }
    actual = statistics(batch)
    assert list(actual) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name].numpy(), values, atol=2e-4, err_msg=name)


def test_where_things_stand_does_not_matter():
    """Flips and quarter turns change no statistic."""
    batch = images()
    for moved in (batch.flip(2), batch.flip(3), batch.rot90(1, (2, 3))):
        for name, values in statistics(moved).items():
            torch.testing.assert_close(values, statistics(batch)[name], msg=name)


@pytest.mark.parametrize("side", [1, 2, 5, 33])
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_images_of_any_size_and_of_one_colour_have_statistics_and_derivatives(side, value):
    batch = torch.full((2, 3, side, side), value, dtype=torch.float64, requires_grad=True)
    values = torch.stack(list(statistics(batch).values()))
    (gradient,) = torch.autograd.grad(values.sum(), batch)
    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()


def test_bytes_are_images_from_0_to_1():
    integers = (images() * 255).round().to(torch.uint8)
    net = image_statistics()
    torch.testing.assert_close(net.eval()(integers), net.eval()(integers.float() / 255))


def test_it_is_built_again_from_its_description_and_learns_nothing():
    net = image_statistics(in_channels=1)
    assert build(net.spec.as_dict()).spec == net.spec
    assert not list(net.parameters())
    assert net.num_features == len(STATISTICS) == 8


def lit(batch):
    """The same images, the lighter the more the label is."""
    light = batch.y.reshape(len(batch.y), -1).sum(1).view(-1, 1, 1, 1) / 20
    return Batch(batch.x.double() / 2550 + light, batch.y)


@pytest.mark.parametrize("make", [toys.binary, toys.multiclass, toys.multilabel, toys.ordinal])
def test_a_ridge_head_sees_brightness(make):
    """Labels that are brightness are found; a predictor is the same the second time."""
    source = make(size=16)
    episode = Episodes(EpisodeSampler(source, shots=5, queries=5, seed=0))[0]
    algorithm = Ridge(image_statistics(in_channels=1), norm="support")
    support, query = (lit(batch) for batch in (episode.support, episode.query))
    first, second = (algorithm.adapt(support, episode.task) for _ in range(2))
    assert torch.equal(first.logits(query.x), second.logits(query.x))
    scores = episode.task.target.evaluate(first(query.x).plain, query.y, ["auroc"])
    assert scores["auroc"].value > 0.75

"""A backbone that cannot take an episode's images says so by episode, shape and remedy."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.algorithms.cases import TARGETS, Net, episode_of
from tests.algorithms.test_bad_input import with_tensors
from torchcross.algorithms import ANIL, MAML, ProtoNet
from torchcross.errors import InputError

EPISODE = episode_of(TARGETS["multiclass"])


@pytest.mark.parametrize("make", [MAML, ANIL, ProtoNet])
def test_images_with_other_channels(make):
    coloured = with_tensors(EPISODE, x=EPISODE.support.x.expand(-1, 3, -1, -1).clone())
    match = (
        r"episode 0 of 'toys': the backbone Net cannot take images of the shape \(3, 6, 6\).*1"
        r" channels"
    )
    with pytest.raises(InputError, match=match):
        make(Net()).meta_loss([coloured])
    with pytest.raises(
        InputError, match=r"task 'made-up': the backbone Net cannot take images of the shape"
    ):
        make(Net()).adapt(coloured.support, EPISODE.task)
    predictor = make(Net()).adapt(EPISODE.support, EPISODE.task)
    with pytest.raises(
        InputError, match=r"predictor of 'made-up'.*cannot take images of the shape \(3, 6, 6\)"
    ):
        predictor(coloured.support.x)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_a_scripted_backbone():
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    scripted = torch.jit.script(layers.double())
    with pytest.raises(InputError, match=r"episode 0 of 'toys'.*Jitted modules.*not a scripted"):
        MAML(scripted).meta_loss([EPISODE])


@pytest.mark.parametrize("images", [EPISODE.query.x.numpy().astype(str), EPISODE.query.x.tolist()])
def test_images_that_are_neither_a_tensor_nor_an_array_of_numbers(images):
    predictor = ProtoNet(Net()).adapt(EPISODE.support, EPISODE.task)
    for use in (predictor, predictor.logits, predictor.features):
        with pytest.raises(InputError, match=r"predictor got (ndarray|list) as images; give a ten"):
            use(images)


def test_arrays_that_cannot_be_written_into_are_copied():
    """torch warns of them, and a warning is an error here."""
    predictor = ProtoNet(Net()).adapt(EPISODE.support, EPISODE.task)
    locked = EPISODE.query.x.numpy().copy()
    locked.flags.writeable = False
    assert torch.equal(predictor.logits(locked), predictor.logits(EPISODE.query.x))


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="long doubles are float64 here")
def test_numbers_of_which_there_are_no_tensors():
    predictor = ProtoNet(Net()).adapt(EPISODE.support, EPISODE.task)
    with pytest.raises(InputError, match=r"an array of \w+, of which .*\.astype\('float32'\)"):
        predictor(EPISODE.query.x.numpy().astype(np.longdouble))

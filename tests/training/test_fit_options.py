"""Options and arguments that make no sense are refused, and changed ones are named."""

import dataclasses
import math

import pytest
import torch

from tests.training.subjects import Few, fitted, magnitude, options, sampler
from torchcross.data import Episodes, MixedBatches
from torchcross.errors import InputError
from torchcross.training import FitOptions, fit
from torchcross.training.options import changed_options, decides_numbers


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 0}, "steps=0 is not an integer of at least 1"),
        ({"steps": True}, "steps"),
        ({"meta_batch": 4, "at_once": 3}, "at_once=3 does not divide meta_batch=4"),
        ({"optimiser": "lion"}, "optimiser='lion' is not one of"),
        ({"momentum": 0.9}, "momentum=0.9 has no effect with optimiser='adam'"),
        ({"lr_end": 0.1}, "lr_end=0.1 has no effect"),
        ({"lr": math.nan}, "lr=.* is not a finite number above 0"),
        ({"lr": 0}, "lr=.* is not a finite number above 0"),
        ({"clip": 0.0}, "clip"),
        ({"clip": math.inf}, "clip"),
        ({"warmup": 6}, "warmup=6 leaves none of steps=6"),
        ({"ema": 1.0}, "ema is a decay between 0 and 1"),
        ({"patience": 2}, "give validate_every="),
        ({"min_delta": 0.1}, "give patience="),
        ({"validate_every": 0}, "validate_every"),
        ({"keep": 0}, "keep"),
        ({"workers": -1}, "workers"),
        ({"seed": 0.5}, "seed"),
        ({"schedule": "linearly"}, "schedule='linearly' is not one of"),
    ],
)
def test_options_are_checked(given, message):
    with pytest.raises(InputError, match=message):
        options(**given)


def test_arguments_are_checked(tmp_path):
    with pytest.raises(InputError, match="belong together"):
        fitted(validate=magnitude)
    with pytest.raises(InputError, match="belong together"):
        fitted(validate_every=1)
    with pytest.raises(InputError, match="give it EpisodeSampler"):
        fitted(data=MixedBatches(sampler().sources))
    with pytest.raises(InputError, match="give it MixedBatches"):
        fitted("multi-task", data=sampler())
    with pytest.raises(InputError, match="not a Linear"):
        fit(torch.nn.Linear(2, 2), sampler(), options())
    with pytest.raises(InputError, match="both the Episodes and fit"):
        fitted(data=Episodes(sampler(), transform=abs), transform=abs)
    with pytest.raises(InputError, match="reads by itself"):
        fitted(data=Few(Episodes(sampler()), 12), transform=abs)
    with pytest.raises(InputError, match="needs 2 more items"):
        fitted(data=Few(Episodes(sampler()), 3))


def test_what_may_change_between_two_calls_is_said_with_the_options():
    free = {each.name for each in dataclasses.fields(FitOptions) if not decides_numbers(each)}
    assert free == {"checkpoint_every", "keep", "workers"}
    before = options().as_dict()
    assert changed_options(before, options(checkpoint_every=7, keep=3, workers=1, steps=99)) == []
    (changed,) = changed_options(before, options(clip=2.0))
    assert changed == "clip was None and is 2.0"
    assert changed_options({**before, "colour": 1}, options()) == [
        "'colour' is no option of this version"
    ]

"""The strength of a ridge head by leaving out one sample of the support after the other."""

import pytest
import torch

from tests.algorithms.converged import KINDS, Once, every_kind, features_and_labels
from torchcross.algorithms import Ridge
from torchcross.episode import Batch
from torchcross.errors import InputError
from torchcross.heads import known_codes, leave_one_out_errors, ridge_weight
from torchcross.task import Task

STRENGTHS = (0.01, 1.0, 100.0)


def errors_by_brute_force(features, codes, known, strength):
    """A fit for each sample that is left out."""
    total = 0.0
    for left_out in range(len(features)):
        rest = [row for row in range(len(features)) if row != left_out]
        weight = ridge_weight(features[rest], codes[rest], known[rest], strength)
        error = (codes[left_out] - features[left_out] @ weight) * known[left_out]
        total += float(error.square().sum())
    return total


@every_kind
@pytest.mark.parametrize("width", [5, 40])
def test_errors_are_those_of_fits_without_each_sample(kind, width):
    features, labels, _ = features_and_labels(KINDS[kind], width=width, missing=4)
    codes, known = known_codes(KINDS[kind], labels)
    codes, known = codes.double(), known.double()
    strengths = torch.tensor(STRENGTHS, dtype=torch.float64)
    errors = leave_one_out_errors(features, codes, known, strengths)
    expected = [errors_by_brute_force(features, codes, known, each) for each in STRENGTHS]
    torch.testing.assert_close(
        errors, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9
    )


@every_kind
def test_each_support_takes_the_strength_of_the_smallest_error(kind):
    target = KINDS[kind]
    task, taken = Task("made-up", target), set()
    for noise in (0.0, 30.0):
        features, labels, query = features_and_labels(target, width=8)
        generator = torch.Generator().manual_seed(1)
        features = features + noise * torch.randn(features.shape, generator=generator)
        codes, known = (value.double() for value in known_codes(target, labels))
        errors = {each: errors_by_brute_force(features, codes, known, each) for each in (0.01, 1e4)}
        best = min(errors, key=errors.get)
        taken.add(best)
        support, net = Batch(features, labels), Once(torch.float64)
        chosen = Ridge(net, strength=(0.01, 1e4)).adapt(support, task)(query)
        plain = Ridge(net, strength=best).adapt(support, task)(query)
        torch.testing.assert_close(
            chosen.probabilities, plain.probabilities, rtol=1e-12, atol=1e-12
        )
    assert taken == {0.01, 1e4}


def test_the_protocol_says_what_it_chose_from():
    said = Ridge(Once(torch.float64), strength=[0.1, 1]).protocol()
    assert (said["strength"], said["chosen"]) == ([0.1, 1.0], "leave-one-out")
    assert "chosen" not in Ridge(Once(torch.float64)).protocol()


@pytest.mark.parametrize("strength", [0, (), (1.0, -1.0), (1.0, float("nan")), "strong", (True,)])
def test_strengths_that_are_no_positive_numbers(strength):
    with pytest.raises(InputError, match="Ridge got strength="):
        Ridge(Once(torch.float64), strength=strength)

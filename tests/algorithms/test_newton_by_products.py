"""Newton steps by products end where exact ones end."""

from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from torchcross.heads import likelihood_models, newton, newton_by_products
from torchcross.heads.solution import solution
from torchcross.targets.likelihood import Likelihood

NEVER = 10**6


def problems(seed, count, samples, classes, penalty):
    draws = torch.Generator().manual_seed(seed)
    features = torch.randn(count, samples, 6, generator=draws, dtype=torch.float64)
    features /= features.norm(dim=-1, keepdim=True)
    codes = torch.randint(classes, (count, samples), generator=draws)
    codes[:, :classes] = torch.arange(classes)
    return penalty * features @ features.mT, codes


def clusters(seed, count, penalty, *, separation, unit_length):
    """Forty samples of four classes: apart from each other, or one cloud at a separation of 0."""
    draws = torch.Generator().manual_seed(seed)
    codes = (torch.arange(40) % 4).expand(count, -1)
    centres = torch.randn(count, 4, 16, generator=draws, dtype=torch.float64)
    features = torch.randn(count, 40, 16, generator=draws, dtype=torch.float64)
    features += separation * centres[:, codes[0]]
    if unit_length:
        features /= features.norm(dim=-1, keepdim=True)
    return penalty * features @ features.mT, codes


@contextmanager
def counts_of_steps():
    """How many Newton steps the slowest problem takes, and for how many each approximation is."""
    steps, approximations = [], []
    search, approximate = newton._line_search, likelihood_models.step_by_products

    def count_step(*args):
        steps.append(1)
        return search(*args)

    def count_approximations(gram, *args, **options):
        approximations.append(len(gram))
        return approximate(gram, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newton, "_line_search", count_step)
        patch.setattr(likelihood_models, "step_by_products", count_approximations)
        yield steps, approximations


def solved(monkeypatch, fewest, classes, gram, codes, prior=None):
    monkeypatch.setattr(likelihood_models, "FEWEST", fewest)
    duals, free = solution(Likelihood("softmax", 1, classes), gram, codes, prior)
    return duals @ gram + free.unsqueeze(-1)


@max_examples(30)
@given(
    seed=st.integers(0, 10**6),
    samples=st.integers(5, 40),
    classes=st.integers(2, 5),
    penalty=st.sampled_from([0.01, 1.0, 100.0, 1e4]),
)
def test_both_end_in_the_same_solution(seed, samples, classes, penalty):
    gram, codes = problems(seed, 3, samples, classes, penalty)
    with pytest.MonkeyPatch.context() as patch:
        exact = solved(patch, NEVER, classes, gram, codes)
        ours = solved(patch, 0, classes, gram, codes)
    assert (exact - ours).abs().max() < 1e-6 * max(1, exact.abs().max())


def test_a_prior_leaves_no_intercepts(monkeypatch):
    gram, codes = problems(1, 2, 12, 3, 10.0)
    prior = torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    exact = solved(monkeypatch, NEVER, 3, gram, codes, prior)
    assert torch.allclose(solved(monkeypatch, 0, 3, gram, codes, prior), exact, atol=1e-7)


def test_a_solution_does_not_depend_on_the_problems_beside_it(monkeypatch):
    """Some need more products than others, and leave the batch later."""
    grams, codes = problems(3, 3, 40, 4, 1.0)
    grams = grams * torch.tensor([1e-2, 1.0, 10.0]).double()[:, None, None]
    together = solved(monkeypatch, 0, 4, grams, codes)
    for each in range(3):
        alone = solved(monkeypatch, 0, 4, grams[each : each + 1], codes[each : each + 1])
        assert torch.equal(alone[0], together[each])


def test_what_asks_for_too_many_products_is_solved_exactly(monkeypatch):
    gram, codes = problems(4, 3, 30, 3, 100.0)
    exact = solved(monkeypatch, NEVER, 3, gram, codes)
    monkeypatch.setattr(newton_by_products, "_MOST", 2)
    assert torch.allclose(solved(monkeypatch, 0, 3, gram, codes), exact, atol=1e-7)


HARD = [
    (separation, unit_length, penalty)
    for separation in (0, 1, 5, 20)
    for unit_length, penalties in ((True, (1.0, 1e4, 1e8)), (False, (1.0, 1e4)))
    for penalty in penalties
]


@pytest.mark.parametrize(("separation", "unit_length", "penalty"), HARD)
def test_no_problem_takes_more_steps_than_with_exact_ones(
    monkeypatch, separation, unit_length, penalty
):
    """Where C is large or classes are apart, p is 1 to float32, and R has no curvature left."""
    gram, codes = clusters(1, 2, penalty, separation=separation, unit_length=unit_length)
    with counts_of_steps() as (steps_of_exact, _):
        exact = solved(monkeypatch, NEVER, 4, gram, codes)
    with counts_of_steps() as (steps, _):
        ours = solved(monkeypatch, 0, 4, gram, codes)
    assert (exact - ours).abs().max() < 1e-6 * max(1, exact.abs().max())
    assert len(steps) <= len(steps_of_exact) + 2


def test_a_problem_that_asks_for_too_many_products_asks_once(monkeypatch):
    easy, codes = clusters(1, 2, 1.0, separation=1, unit_length=True)
    hard, _ = clusters(1, 1, 1e4, separation=1, unit_length=True)
    with counts_of_steps() as (steps, approximations):
        together = solved(monkeypatch, 0, 4, torch.cat([easy, hard]), codes[[0, 0, 0]])
    assert approximations[0] == 3
    assert set(approximations[1:]) <= {1, 2}
    assert len(steps) > len(approximations)
    assert torch.equal(together[2:], solved(monkeypatch, 0, 4, hard, codes[:1]))


def test_steps_are_exact_after_some(monkeypatch):
    monkeypatch.setattr(newton, "APPROXIMATE_STEPS", 1)
    gram, codes = clusters(1, 2, 1.0, separation=1, unit_length=True)
    with counts_of_steps() as (steps, approximations):
        solved(monkeypatch, 0, 4, gram, codes)
    assert approximations == [2]
    assert len(steps) > 1


def test_certain_probabilities_have_no_step_by_products():
    """Without any curvature intercepts have no equations; an inverse of them would be an error."""
    p = torch.eye(2, dtype=torch.float64)[[0, 1, 0]].mT.unsqueeze(0)
    gram = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    *_, can_be_used = newton_by_products.step_by_products(
        gram, p, p, p @ gram, p.sum(-1), has_intercepts=True
    )
    assert can_be_used.tolist() == [False]

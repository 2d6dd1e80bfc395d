"""A predictor that says the same of every image ranks none of them above another."""

from __future__ import annotations

import pytest
import torch

from tests.targets.tables import TARGETS
from torchcross.targets import Target

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
SIZES = (7, 10, 30, 53)
DRAWS = 25


def constants(target: Target, dtype: torch.dtype) -> list[torch.Tensor]:
    """Rows of logits from flat to saturated, each repeated for every image of a query."""
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(DRAWS, target.num_outputs, generator=generator, dtype=torch.float64)
    scales = torch.logspace(-3, 2, DRAWS, dtype=torch.float64)[:, None]
    return [row.expand(size, -1).clone() for row in (rows * scales).to(dtype) for size in SIZES]


def all_classes(target: Target, size: int) -> torch.Tensor:
    """Labels in which every class, and both answers of every label, occur."""
    columns = torch.arange(target.label_shape[0]) if target.label_shape else torch.tensor(0)
    return (torch.arange(size).view(-1, *[1] * len(target.label_shape)) + columns) % len(
        target.values
    )


@every_target
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equal_logits_have_equal_scores(target: Target, dtype: torch.dtype):
    for logits in constants(target, dtype):
        scores = target.predict(logits).scores
        assert scores is not None
        assert torch.equal(scores, scores[:1].expand_as(scores))


@every_target
def test_a_constant_predictor_scores_exactly_half(target: Target):
    for logits in constants(target, torch.float32)[:: len(SIZES) + 1]:
        labels = all_classes(target, len(logits))
        score = target.evaluate(target.predict(logits), labels, "auroc")["auroc"]
        assert float(score) == 0.5


@every_target
def test_equal_rows_tie_among_others(target: Target):
    """Also where the rows between them differ, and where zeros have signs."""
    logits = torch.randn(41, target.num_outputs, generator=torch.Generator().manual_seed(3))
    logits[5::7] = logits[5]
    logits[2], logits[9] = 0.0, -0.0
    scores = target.predict(logits).scores
    assert scores is not None
    assert torch.equal(scores[5::7], scores[5].expand_as(scores[5::7]))
    assert torch.equal(scores[2], scores[9])
    alone = torch.cat([target.predict(row[None]).scores for row in logits])  # type: ignore[misc]
    assert torch.allclose(scores, alone, rtol=1e-12)


@every_target
def test_rows_that_are_not_finite_keep_their_place(target: Target):
    logits = torch.randn(9, target.num_outputs, generator=torch.Generator().manual_seed(4))
    logits[4] = torch.nan
    scores = target.predict(logits).scores
    assert scores is not None
    assert scores[4].isnan().all()
    assert scores[:4].isfinite().all()
    assert scores[5:].isfinite().all()
    assert target.predict(logits[:0]).scores is not None

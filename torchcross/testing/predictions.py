"""What a predictor answers for the query of an episode, whatever form it answers in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from torchcross.episode import Episode
from torchcross.targets import Prediction

_SUMS = 1e-3


def answer_of(predictor: Callable[[Tensor], Any], episode: Episode) -> Any:
    """A prediction of the query images; logits are read by the target."""
    answer = predictor(episode.query.x)
    if isinstance(answer, Tensor):
        return episode.task.target.predict(answer.detach())
    return getattr(answer, "plain", answer)


def same_answers(first: Any, second: Any) -> bool:
    """Whether two predictions have the same bits."""
    return all(
        torch.equal(getattr(first, name).nan_to_num(), getattr(second, name).nan_to_num())
        for name in ("probabilities", "decisions")
    )


def wrong_answers(answer: Any, episode: Episode) -> Iterator[str]:
    """Sentences on what is no prediction of the episode's query."""
    target, count = episode.task.target, len(episode.query)
    if not isinstance(answer, Prediction):
        yield (
            f"the predictor gave {type(answer).__name__}; give a Prediction, or a tensor of logits"
            f" ({count}, {target.num_outputs})"
        )
        return
    probabilities, decisions = answer.probabilities, answer.decisions
    shapes = {
        "probabilities": (tuple(probabilities.shape), (count, target.num_classes)),
        "decisions": (tuple(decisions.shape), (count, *target.label_shape)),
    }
    for name, (actual, expected) in shapes.items():
        if actual != expected:
            yield f"{name} have shape {actual}; {target!r} has {expected}"
            return
    if not bool(torch.isfinite(probabilities).all()):
        yield "probabilities are not finite"
        return
    if bool((probabilities < 0).any() | (probabilities > 1).any()):
        yield "probabilities lie outside 0..1"
    if not target.label_shape and not torch.allclose(
        probabilities.sum(1), torch.ones(count, dtype=probabilities.dtype), atol=_SUMS
    ):
        yield "the probabilities of an image do not sum to 1, and each image has one class"
    highest = target.num_classes - 1 if not target.label_shape else 1
    if bool((decisions < 0).any() | (decisions > highest).any()):
        yield f"decisions lie outside 0..{highest}"

"""Logistic regression to convergence, on the features of a backbone that stays as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias, Unpack, final, get_args

import torch
from torch import Tensor, nn

from torchcross._kit.argument_checks import check_choice
from torchcross.algorithms._shared.checked_batch import seen_part
from torchcross.algorithms._shared.closed_form import ClosedForm, Fit
from torchcross.algorithms.options import LaneOptions
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.heads import (
    LOGISTIC_FORMS,
    has_others,
    logistic_head,
    logistic_log_probabilities,
)
from torchcross.targets import MISSING, Target
from torchcross.task import Task

Temperature: TypeAlias = Literal["none", "leave-one-out"]
Tree = dict[str, Tensor]

_ALL_ALONE: Final = (
    "the temperature is 1, since each sample of the support is the only one of its class"
)


@final
class LogisticRegression(ClosedForm):
    """An L2-penalised head, fitted until its gradient is zero: no epochs, no learning rate.

    `C` is that of scikit-learn: it weighs the sum of the losses, so that a larger one penalises
    less; intercepts and thresholds are not penalised. Several values of C give the mean of their
    probabilities, which needs no validation. Features have unit length first, unless
    `unit_length=False`.

    `temperature="leave-one-out"` divides all scores by one number, that which makes samples of the
    support likeliest under heads that were fitted without them; several C have one each. A sample
    that is the only one of its class is not left out. Where all are, the temperature is 1, and
    `remark` says so. It is for adaptation alone.

    Binary targets and each label of a multi-label target get binary logistic regression (a missing
    label leaves its own sample out), multi-class targets the softmax, ordinal targets the
    cumulative link. The target's loss does not change the fit; it is what training differentiates.
    Use `adapt`, from any backbone; training steps differentiate through the solution. The BatchNorm
    policy is `frozen`. `EpisodicOptions` describes the other options.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import LogisticRegression
    >>> from torchcross.data import toys
    >>> episode = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3))[0]
    >>> algorithm = LogisticRegression(backbones.conv4(8, in_channels=1))
    >>> algorithm.adapt(episode.support, episode.task)(episode.query.x).decisions.shape
    torch.Size([6])
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        C: float | Sequence[float] = 10.0,
        unit_length: bool = True,
        temperature: Temperature = "none",
        norm: str = "frozen",
        **options: Unpack[LaneOptions],
    ) -> None:
        super().__init__(backbone, norm=norm, **options)
        if not isinstance(unit_length, bool):
            raise InputError(
                f"LogisticRegression got unit_length={unit_length!r}; give True or False."
            )
        check_choice("temperature", temperature, get_args(Temperature))
        self.temperature = temperature
        self.C = _checked_penalties(C)
        self.unit_length = unit_length
        self.form = LOGISTIC_FORMS[unit_length]

    def head_fit(self, target: Target) -> Fit:
        penalties = torch.tensor(self.C, dtype=torch.float64)
        options = {"unit_length": self.unit_length, "temper": self.temperature != "none"}
        return partial(_regression, target, penalties, options)

    def _logits_of_many(
        self,
        target: Target,
        supports: Sequence[Tensor],
        own: Tree,
        data: Sequence[Tree],
        queries: Sequence[Tensor],
    ) -> Tensor:
        if self.temperature != "none":
            return super()._logits_of_many(target, supports, own, data, queries)
        penalties, likelihood = torch.tensor(self.C, dtype=torch.float64), target.likelihood
        log_p = logistic_log_probabilities(
            likelihood,
            supports,
            [labels["codes"] for labels in data],
            queries,
            penalties,
            unit_length=self.unit_length,
        )
        logits = target.prototype_logits(likelihood.prototype_scores(log_p.flatten(0, 1)))
        return logits.to(queries[0])

    @torch.no_grad()
    def features_of(self, support: Batch, task: Task, images: Tensor) -> tuple[Tensor, Tensor]:
        """The features of a support set and of images, as the fit and the predictor have them."""
        unknown = support.y.new_full((len(images), *support.y.shape[1:]), MISSING)
        episode = Episode(support, Batch(images, unknown), task)
        parts = self._features_of(episode, 0, *self._state())
        return parts.support, parts.query

    def own_parameters(self) -> Tree:
        return {}

    def label_data(self, data: Tree, task: Task) -> Tree:
        return {"codes": task.target.likelihood.codes(data["ys"])}

    def remark(self, support: Batch, task: Task) -> str:
        if self.temperature == "none":
            return ""
        part = seen_part(support, task, f"task {task.name!r}")
        codes = part.task.target.likelihood.codes(part.support.y.long())
        is_tempered = not part.has_head or bool(has_others(codes).any())
        return "" if is_tempered else _ALL_ALONE

    def protocol(self) -> dict[str, Any]:
        return {
            "algorithm": "LogisticRegression",
            "C": list(self.C),
            "unit_length": self.unit_length,
            "temperature": self.temperature,
            "steps": 0,
            **self.common_protocol(),
        }


def _checked_penalties(C: float | Sequence[float]) -> tuple[float, ...]:
    several = C if isinstance(C, list | tuple) else [C]
    if math.inf in several:
        raise InputError(
            "LogisticRegression got an infinite C, no penalty: where classes can be separated, as"
            " those of a few images nearly always can, no head is the best one; give a finite C,"
            " such as 1e4."
        )
    if not several or not all(isinstance(value, float | int) and value > 0 for value in several):
        raise InputError(
            f"LogisticRegression got C={C!r}; give a positive number, or several, such as (1, 10,"
            " 100)."
        )
    return tuple(map(float, several))


def _regression(
    target: Target,
    penalties: Tensor,
    options: dict[str, bool],
    features: Tensor,
    own: Tree,
    data: Tree,
) -> Tree:
    codes, likelihood = data["codes"], target.likelihood
    return logistic_head(likelihood, features, codes, penalties, **options)

"""Fine-tuning from a pre-trained backbone (IM-PT in the published evaluation protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Unpack, final

from torch import nn

from torchcross._kit.argument_checks import checked_number
from torchcross.algorithms._shared.checked_batch import SeenPart
from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.algorithms._shared.image_gradients import learned_images
from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HEAD_NAMES,
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
    Schedule,
    SmallSupports,
)
from torchcross.algorithms._shared.layer_decay import blocks_to_head
from torchcross.algorithms._shared.member_adaptation import adapt_members
from torchcross.algorithms._shared.members import stack_members
from torchcross.algorithms._shared.support_views import SupportAugmentation
from torchcross.algorithms.options import LaneOptions
from torchcross.algorithms.predictor import Predictor
from torchcross.errors import InputError
from torchcross.functional import Problem
from torchcross.functional.loop.lanes import lane_width
from torchcross.functional.loop.optimisers import Rates
from torchcross.functional.network.parameter_names import Choice
from torchcross.heads import MEAN_FORM
from torchcross.task import Task

RateOrRates = float | Sequence[float]


@final
class FineTune(InnerLoopAlgorithm):
    """A fresh head, and Adam on everything: by default 50 steps of 1e-3 on the whole support set.

    lr             rate of the head, and of the backbone unless `backbone_lr` is given
    backbone_lr    rate of the backbone; with `layer_decay`, of what stands behind its last block,
                   which has it times `layer_decay`. Several rates here or in `lr` make an ensemble
                   of all combinations: the mean of their probabilities
    layer_decay    the backbone's rate is multiplied by it for each block away from the head
    blocks         a pattern of parameter names for each block from the input on, where the blocks
                   are not those of `nn.Sequential` and `nn.ModuleList`
    head           "kaiming", "zero", "proto" or "logistic" (the solution of logistic regression)
    optimiser      "adamw" keeps `weight_decay` apart from the gradient
    schedule       "constant", or "cosine": down to zero over the steps
    warmup         the first steps, in which rates rise linearly
    batch          samples of the support that a step sees; None: all. A support with fewer is
                   refused, or with `small_supports="whole"` seen whole
    augmentation   of the images that a step sees, such as `torchcross.data.Augmentation()`

    BatchNorm is as published: support forwards in training mode move the running statistics, and
    the query uses them (`running`). Use `adapt`, from any backbone; as a meta-learner it is first
    order. `EpisodicOptions` describes the other options.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import FineTune
    >>> from torchcross.data import toys
    >>> episode = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3))[0]
    >>> algorithm = FineTune(backbones.conv4(8, in_channels=1), steps=2)
    >>> algorithm.adapt(episode.support, episode.task)(episode.query.x).decisions.shape
    torch.Size([6])
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 50,
        lr: RateOrRates = 1e-3,
        backbone_lr: RateOrRates | None = None,
        layer_decay: float = 1.0,
        blocks: Sequence[str] | None = None,
        head: HeadStart = "kaiming",
        optimiser: InnerOptimiser = "adam",
        weight_decay: float | None = None,
        schedule: Schedule = "constant",
        warmup: int = 0,
        batch: int | None = None,
        small_supports: SmallSupports = "refuse",
        augmentation: SupportAugmentation | None = None,
        adapted: Choice = "*",
        norm: str = "running",
        **options: Unpack[LaneOptions],
    ) -> None:
        self.rate_pairs = _rate_pairs(lr, backbone_lr)
        recipe = InnerLoopRecipe(
            "FineTune",
            steps,
            self.rate_pairs[0][0],
            head,
            optimiser,
            adapted,
            order=1,
            weight_decay=weight_decay,
            schedule=schedule,
            warmup=warmup,
            batch=batch,
            small_supports=small_supports,
            augmentation=augmentation,
        )
        super().__init__(backbone, recipe, norm=norm, **options)
        self.layer_decay = checked_number("FineTune: layer_decay", layer_decay, above=0)
        if self.layer_decay > 1:
            raise InputError(
                f"FineTune got layer_decay={layer_decay}; give 1, or less: layers nearer to the"
                " input then move more slowly."
            )
        if blocks is not None and self.layer_decay == 1:
            raise InputError(
                "FineTune got blocks= without a layer_decay below 1, which is all that reads them;"
                " give layer_decay=, or leave blocks out."
            )
        self._away = dict.fromkeys(dict(backbone.named_parameters()), 0)
        if self.layer_decay < 1:
            self._away = blocks_to_head(backbone, blocks)

    @property
    def is_ensemble(self) -> bool:
        return len(self.rate_pairs) > 1

    def _rates(self, of_head: float, of_backbone: float) -> Rates:
        if of_head == of_backbone and self.layer_decay == 1:
            return of_head
        body = {name: of_backbone * self.layer_decay**blocks for name, blocks in self._away.items()}
        return {**body, **dict.fromkeys(HEAD_NAMES, of_head)}

    def _fixed_rates(self) -> Rates:
        return self._rates(*self.rate_pairs[0])

    def _problem(self, data: Any, task: Task, key: DrawKey, epoch: int) -> Problem:
        if self.is_ensemble:
            raise InputError(
                f"FineTune with {len(self.rate_pairs)} pairs of rates is an ensemble, which adapts"
                " and does not train; give one rate for the head and one for the backbone."
            )
        return super()._problem(data, task, key, epoch)

    def _adapted_predictor(
        self,
        task: Task,
        part: SeenPart,
        data: Any,
        key: DrawKey,
        steps: int,
        protocol: dict[str, Any],
    ) -> Predictor:
        if not self.is_ensemble:
            return super()._adapted_predictor(task, part, data, key, steps, protocol)
        keep_graph = bool(learned_images(data))
        problem, meta = self._ready_problem(data, part.task, key, steps, keep_graph=keep_graph)
        rates = [self._rates(*pair) for pair in self.rate_pairs]
        # Networks at once need the memory of all: nobody gets them who has not asked.
        width = 1 if self.lanes == "auto" else lane_width(self.lanes, data["xs"].device)
        ends = adapt_members(problem, meta, rates, width=width, keep_graph=keep_graph)
        members = []
        for end in ends:
            head = {name: end.params[name] for name in HEAD_NAMES}
            members.append(self._adapted_tensors(data, end.params, end.buffers, head, step=steps))
        return self._make_predictor(
            task,
            stack_members(members),
            form=MEAN_FORM,
            step=steps,
            protocol=protocol,
            keep_graph=keep_graph,
            image_shape=tuple(data["xs"].shape[1:]),
            members=len(members),
            counts=part.counts,
        )

    def protocol(self) -> dict[str, Any]:
        protocol = super().protocol()
        heads, backbones = (
            list(dict.fromkeys(rates)) for rates in zip(*self.rate_pairs, strict=True)
        )
        if self.is_ensemble:
            protocol |= {"lr": heads, "backbone_lr": backbones, "members": len(self.rate_pairs)}
        elif heads != backbones:
            protocol["backbone_lr"] = backbones[0]
        if self.layer_decay < 1:
            protocol["layer_decay"] = self.layer_decay
        return protocol


def _rate_pairs(
    lr: RateOrRates, backbone_lr: RateOrRates | None
) -> tuple[tuple[float, float], ...]:
    """All pairs of a rate of the head and a rate of the backbone."""
    heads = _checked_rates("lr", lr)
    if backbone_lr is None:
        return tuple((rate, rate) for rate in heads)
    return tuple(product(heads, _checked_rates("backbone_lr", backbone_lr)))


def _checked_rates(name: str, rates: RateOrRates) -> tuple[float, ...]:
    several = list(rates) if isinstance(rates, list | tuple) else [rates]
    if not several:
        raise InputError(f"FineTune got {name}={rates!r}, an empty grid; give at least one rate.")
    checked = tuple(checked_number(f"FineTune: {name}", rate, above=0) for rate in several)
    if len(set(checked)) < len(checked):
        raise InputError(f"FineTune got {name}={rates!r}, with a rate twice; give each once.")
    return checked

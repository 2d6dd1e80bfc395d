"""MAML (Finn, Abbeel and Levine 2017), with the options of MAML++ (Antoniou et al. 2019)."""

from __future__ import annotations

from typing import Unpack, final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
    Memory,
)
from torchcross.algorithms._shared.per_step_norm import NormWeights
from torchcross.algorithms._shared.rates import RateKind
from torchcross.algorithms.options import EpisodicOptions
from torchcross.functional import Engine
from torchcross.functional.network.parameter_names import Choice


@final
class MAML(InnerLoopAlgorithm):
    """`MAML(backbone, steps=4, lr=0.1, head="zero")`; over a mixture of sources this is mm-MAML.

    head                `zero`, `kaiming`, `proto`: fresh for each episode; or `LearnedHeads`
    order, engine       exact by default; order=1 for first-order MAML, `memory="low"` for the exact
                        engine that needs less memory
    adapted             names that the inner loop moves, by predicate or pattern ("layer4.*",
                        "head.*")

    `EpisodicOptions` describes the other options: norm, lanes, normalise and features.

    MAML++: `rates="per_layer_step"` (learned), `multi_step=E` (query losses after every step,
    annealed over E epochs), `first_order_epochs=E`, `norm="per_step"` (statistics of each step),
    `norm_weights="per_step"` (weights and biases of each step, learned by the outer loop alone).

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import MAML
    >>> from torchcross.data import toys
    >>> episodes = tx.Episodes(tx.EpisodeSampler(toys.multiclass(100, size=16), shots=2, queries=3))
    >>> maml = MAML(backbones.conv4(8, in_channels=1), steps=2, lr=0.1)
    >>> loss = maml.meta_loss([episodes[0], episodes[1]])
    >>> loss.backward()
    >>> predictor = maml.adapt(episodes[2].support, episodes[2].task)
    >>> predictor(episodes[2].query.x).probabilities.shape
    torch.Size([15, 5])
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 5,
        lr: float = 0.1,
        head: HeadStart = "zero",
        order: int = 2,
        engine: str | Engine | None = None,
        memory: Memory = "fast",
        optimiser: InnerOptimiser = "sgd",
        weight_decay: float | None = None,
        adapted: Choice = "*",
        rates: RateKind = "fixed",
        multi_step: int | None = None,
        first_order_epochs: int = 0,
        norm_weights: NormWeights = "shared",
        **options: Unpack[EpisodicOptions],
    ) -> None:
        recipe = InnerLoopRecipe(
            "MAML",
            steps,
            lr,
            head=head,
            optimiser=optimiser,
            weight_decay=weight_decay,
            adapted=adapted,
            order=order,
            engine=engine,
            memory=memory,
            rates=rates,
            first_order_epochs=first_order_epochs,
            multi_step=multi_step,
            norm_weights=norm_weights,
        )
        super().__init__(backbone, recipe, **options)

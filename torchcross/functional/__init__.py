"""Pure inner loops and their meta-gradients, over tensors and callables alone."""

from __future__ import annotations

from torchcross.functional.certify import Row, certify_engine, certify_problem
from torchcross.functional.engines import (
    ENGINES,
    Engine,
    FirstOrder,
    Implicit,
    Mixed,
    Recompute,
    Reverse,
)
from torchcross.functional.memory import MemoryEstimate, estimate, peak_memory
from torchcross.functional.meta_loss import MetaLoss, meta_loss
from torchcross.functional.norm import POLICIES
from torchcross.functional.optim import Optimiser, adam, momentum, sgd
from torchcross.functional.problem import Inner, Meta, Problem, Split
from torchcross.functional.state import Network, call, merge_buffers, partition, select
from torchcross.functional.unroll import Adapted, MetaGradient, adapt, meta_gradient

__all__ = [
    "ENGINES",
    "POLICIES",
    "Adapted",
    "Engine",
    "FirstOrder",
    "Implicit",
    "Inner",
    "MemoryEstimate",
    "Meta",
    "MetaGradient",
    "MetaLoss",
    "Mixed",
    "Network",
    "Optimiser",
    "Problem",
    "Recompute",
    "Reverse",
    "Row",
    "Split",
    "adam",
    "adapt",
    "call",
    "certify_engine",
    "certify_problem",
    "estimate",
    "merge_buffers",
    "meta_gradient",
    "meta_loss",
    "momentum",
    "partition",
    "peak_memory",
    "select",
    "sgd",
]

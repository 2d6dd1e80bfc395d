"""Pure inner loops and their meta-gradients, over tensors and callables alone."""

from __future__ import annotations

from torchcross.functional.certify import CertificateRow, certify_engine, certify_problem
from torchcross.functional.loop.adapt import Adapted, adapt
from torchcross.functional.loop.engines import (
    ENGINES,
    Engine,
    FirstOrder,
    Implicit,
    Mixed,
    Recompute,
    Reverse,
)
from torchcross.functional.loop.memory import MemoryEstimate, estimate, peak_memory
from torchcross.functional.loop.meta_gradient import MetaGradient, meta_gradient
from torchcross.functional.loop.meta_loss import MetaLoss, meta_loss
from torchcross.functional.loop.optimisers import Optimiser, adam, adamw, momentum, sgd
from torchcross.functional.loop.problem import Inner, Meta, Problem, Split
from torchcross.functional.network.network import Network, call
from torchcross.functional.network.norm_policies import POLICIES
from torchcross.functional.network.parameter_names import partition, select
from torchcross.functional.trees import merge_buffers

__all__ = [
    "ENGINES",
    "POLICIES",
    "Adapted",
    "CertificateRow",
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
    "Split",
    "adam",
    "adamw",
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

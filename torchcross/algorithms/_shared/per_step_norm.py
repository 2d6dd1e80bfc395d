"""BatchNorm weights and biases for each inner step (MAML++, Antoniou, Edwards and Storkey 2019,
"BNWB").
"""

from __future__ import annotations

from typing import Literal, TypeAlias, final

from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.functional import Network

__all__ = ["NormWeights", "StepAffine"]

NormWeights: TypeAlias = Literal["shared", "per_step"]


@final
class StepAffine(nn.Module):
    """Rows 0..steps of every BatchNorm weight and bias, in place of the backbone's own.

    They start at the backbone's values, are learned by the outer loop, and are left alone by the
    inner one.
    """

    def __init__(self, network: Network, *, steps: int) -> None:
        super().__init__()
        if not network.policy.rows:
            raise InputError(
                "norm_weights='per_step' goes with norm='per_step', not with"
                f" norm={network.policy.name!r}: those forwards do not know their step."
            )
        own = dict(network.module.named_parameters())
        self._slots = {name: name.replace(".", "/") for name in network.affine_names if name in own}
        if not self._slots:
            raise InputError(
                "norm_weights='per_step' needs BatchNorm layers with weights, and the backbone has"
                " none."
            )
        rows = {
            slot: own[name].detach().expand(steps + 1, -1).clone()
            for name, slot in self._slots.items()
        }
        self.rows = nn.ParameterDict({slot: nn.Parameter(value) for slot, value in rows.items()})

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._slots)

    def values(self) -> dict[str, Tensor]:
        """Rows by the names of the backbone's own parameters."""
        return {name: self.rows[slot] for name, slot in self._slots.items()}


def rows_of(norm_weights: NormWeights, network: Network, *, steps: int) -> StepAffine | None:
    if norm_weights not in ("shared", "per_step"):
        raise InputError(f"norm_weights={norm_weights!r} is none of 'shared', 'per_step'.")
    return StepAffine(network, steps=steps) if norm_weights == "per_step" else None

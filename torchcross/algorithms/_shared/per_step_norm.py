"""BatchNorm of each inner step (MAML++, Antoniou, Edwards and Storkey 2019, "BNRS" and "BNWB")."""

from __future__ import annotations

from typing import Literal, TypeAlias, final

from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.functional import Network

NormWeights: TypeAlias = Literal["shared", "per_step"]


@final
class PerStepStatistics(nn.Module):
    """Running statistics of each inner step (policy `per_step`), as buffers of the algorithm."""

    def __init__(self, network: Network, *, steps: int) -> None:
        super().__init__()
        shared, rows = dict(network.module.named_buffers()), network.state(steps)[1]
        # torch allows no dots in the names of buffers.
        self.slots = {
            name: name.replace(".", "/")
            for name, value in rows.items()
            if value is not shared[name]
        }
        for name, slot in self.slots.items():
            self.register_buffer(slot, rows[name])

    def values(self) -> dict[str, Tensor]:
        """Rows by the names of the backbone's own buffers."""
        return {name: self.get_buffer(slot) for name, slot in self.slots.items()}


@final
class PerStepAffine(nn.Module):
    """Rows 0..steps of every BatchNorm weight and bias, in place of the backbone's own.

    They start at the backbone's values. The outer loop learns them; the inner loop does not move
    them.
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
        # Checkpoints count on the order of a ParameterDict made of a dict: by name.
        self.rows = nn.ParameterDict(
            {
                slot: nn.Parameter(own[name].detach().expand(steps + 1, -1).clone())
                for name, slot in self._slots.items()
            }
        )

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._slots)

    def values(self) -> dict[str, Tensor]:
        """Rows by the names of the backbone's own parameters."""
        return {name: self.rows[slot] for name, slot in self._slots.items()}

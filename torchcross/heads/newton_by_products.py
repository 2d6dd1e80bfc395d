"""Newton steps of a softmax by conjugate gradients: products with K alone, no N x N factors.

The Hessian of a sample's loss is H = diag(p) - p p' = R R' with R = diag(q) (I - q q'), q the roots
of p. With residual r = a + gradient, the step of the duals is -r - R z, where z and the step s of
the intercepts solve

    (I + R' K R) z - R' 1 s = -R' K r        1' R z = -slope

The second line holds from the start, for each step is projected on its kernel (Gould, Hribar and
Nocedal 2001); the Gram matrix of that projection is the sum of the H, classes x classes. All
eigenvalues of the matrix are 1 or more, and few are large. The equations are solved in float32:
what a step lacks, the next one finds in float64. Where p is 1 to float32, R has lost the curvature
that is left. So a step is judged by R in float64, and replaced by an exact one where it is bad.
"""

from __future__ import annotations

from typing import Final, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_LOOSEST: Final = 1e-2
"""What is left of the residual of a step far from the minimum; the steps after it mend the rest."""
_TIGHTEST: Final = 1e-4
_MOST: Final = 50
"""Products; whatever asks for more is left to exact steps."""
_ENOUGH: Final = 0.5
FEWEST: Final = 32
"""Samples from which on these steps are faster than exact ones."""


def step_by_products(
    gram: Float[Tensor, "B N N"],
    p: Float[Tensor, "B C N"],
    residual: Float[Tensor, "B C N"],
    pull: Float[Tensor, "B C N"],
    slope: Float[Tensor, "B C"],
    *,
    has_intercepts: bool,
) -> tuple[Tensor, Tensor, Bool[Tensor, " B"]]:
    """The Newton step of duals and intercepts, as exact as the distance to the minimum asks for.

    With it, whether the step of each problem can be used. A problem whose step is exact enough
    waits for the others and does not change.
    """
    root = p.sqrt()
    system = _System(p, root, has_intercepts=has_intercepts)
    gram, residual, pull, slope = (each.float() for each in (gram, residual, pull, slope))
    z = system.start(slope)
    left = z + system.gather(system.spread(z) @ gram + pull)
    gradient = system.project(left)
    way = -gradient
    size = (gradient * gradient).sum((1, 2))
    aim = size * _precision(residual, slope).square()
    for _ in range(_MOST):
        active = size > aim
        if not bool(active.any()):
            break
        image = way + system.gather(system.spread(way) @ gram)
        bend = (way * image).sum((1, 2))
        length = torch.where(active, size / torch.where(active, bend, 1), 0)[:, None, None]
        z, left = z + length * way, left + length * image
        gradient = torch.where(active[:, None, None], system.project(left), gradient)
        before, size = size, (gradient * gradient).sum((1, 2))
        turn = torch.where(active, size / torch.where(active, before, 1), 0)[:, None, None]
        way = turn * way - gradient
    move, shift = -residual - system.spread(z), system.shift(left)
    # The exact step promises all of what it curves; one far from that may lead uphill.
    change = move @ gram
    curve = (move * change).sum((1, 2))
    bent = _across(root, root * (change + shift.unsqueeze(-1)).double())
    curve = curve + bent.square().sum((1, 2))
    promised = -(pull * move).sum((1, 2)) - (slope * shift).sum(1)
    can_be_used = (size <= aim) & (promised >= _ENOUGH * curve)
    return move.double(), shift.double(), can_be_used


@final
class _System:
    """What the equations are made of, in float32; `value` and `z` have the shape of `p`."""

    def __init__(self, p: Float[Tensor, "B C N"], root: Tensor, *, has_intercepts: bool) -> None:
        self._root = root.float()
        self._inverse = _inverse_of_sum(p).float() if has_intercepts else None

    def spread(self, z: Tensor) -> Tensor:
        """R z."""
        return self._root * _across(self._root, z)

    def gather(self, value: Tensor) -> Tensor:
        """R' value."""
        return _across(self._root, self._root * value)

    def start(self, slope: Float[Tensor, "B C"]) -> Tensor:
        """The shortest z that meets the second line."""
        if self._inverse is None:
            return torch.zeros_like(self._root)
        return -self.gather((self._inverse @ slope.unsqueeze(-1)).expand_as(self._root))

    def project(self, value: Tensor) -> Tensor:
        if self._inverse is None:
            return value
        return value - self.gather(self._intercepts(value, self._inverse))

    def shift(self, left: Tensor) -> Float[Tensor, "B C"]:
        """The intercepts' step, from what the other terms of the first line leave."""
        if self._inverse is None:
            return torch.zeros_like(left[:, :, 0])
        shift = self._intercepts(left, self._inverse).squeeze(-1)
        return shift - shift.mean(-1, keepdim=True)

    def _intercepts(self, value: Tensor, inverse: Tensor) -> Float[Tensor, "B C 1"]:
        return inverse @ self.spread(value).sum(-1, keepdim=True)


def _across(root: Tensor, value: Tensor) -> Tensor:
    """(I - q q') value."""
    return value - root * (root * value).sum(1, keepdim=True)


def _precision(residual: Tensor, slope: Tensor) -> Float[Tensor, " B"]:
    """What may be left of a step's residual: less near the minimum, where few steps are left."""
    distance = torch.maximum(residual.abs().amax((1, 2)), slope.abs().amax(1))
    return distance.clamp(_TIGHTEST, _LOOSEST)


def _inverse_of_sum(p: Float[Tensor, "B C N"]) -> Float[Tensor, "B C C"]:
    """Of the sum of the Hessians; NaN where it has none, and no step can be used.

    Along (1, ..., 1), its null vector, intercepts change nothing.
    """
    total = torch.diag_embed(p.sum(-1)) - p @ p.mT
    mean = total.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None]
    inverse, info = torch.linalg.inv_ex(total + mean)
    return torch.where((info == 0)[:, None, None], inverse, torch.nan)

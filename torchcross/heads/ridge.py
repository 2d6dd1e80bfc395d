"""Ridge regression in closed form (R2-D2, Bertinetto et al. 2019)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from torchcross.targets import MISSING, Target


def known_codes(
    target: Target, labels: Int[Tensor, " N *L"]
) -> tuple[Float[Tensor, "N R"], Float[Tensor, "N one_or_R"]]:
    """(regression targets, which of them are known).

    The latter has one column, or one for each answer where a label holds several.
    """
    known = (labels != MISSING).to(torch.get_default_dtype())
    return target.regression_targets(labels), known.reshape(len(labels), -1)


def ridge_weight(
    features: Float[Tensor, "N D"],
    codes: Num[Tensor, "N R"],
    known: Num[Tensor, "N one_or_R"],
    strength: Float[Tensor, ""] | float,
) -> Float[Tensor, "D R"]:
    """argmin_W sum over known entries of (X W - Y)^2 + strength |W|^2.

    Solved in the smaller of the two spaces: W = X'(X X' + s I)^-1 Y, or (X'X + s I)^-1 X'Y, with
    the rows of X and Y that are unknown set to zero. Where answers are known apart from each other,
    each one is a problem of its own. Half precision is solved in float32: torch has no other way.
    """
    dtype = features.dtype
    if features.is_floating_point() and torch.finfo(dtype).bits < 32:
        features = features.float()
        strength = strength.float() if isinstance(strength, Tensor) else strength
    known = known.to(features.dtype)
    codes = codes.to(features.dtype) * known
    columns = known.shape[1]
    X = features.unsqueeze(0) * known.mT.unsqueeze(-1)
    Y = codes.unsqueeze(0) if columns == 1 else codes.mT.unsqueeze(-1)
    samples, width = features.shape
    eye = torch.eye(min(samples, width), dtype=features.dtype, device=features.device)
    if samples <= width:
        W: Tensor = X.mT @ torch.linalg.solve(X @ X.mT + strength * eye, Y)
    else:
        W = torch.linalg.solve(X.mT @ X + strength * eye, X.mT @ Y)
    weight = W.squeeze(0) if columns == 1 else W.squeeze(-1).mT
    # A saved predictor has its weight row by row; products in another order round otherwise.
    return weight.contiguous().to(dtype)

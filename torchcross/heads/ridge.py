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

    >>> from torchcross.heads import known_codes
    >>> from torchcross.targets import Binary
    >>> codes, known = known_codes(Binary(), torch.tensor([0, 1]))
    >>> codes
    tensor([[-1.],
            [ 1.]])
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

    >>> from torchcross.heads import ridge_weight
    >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> ridge_weight(features, torch.eye(2), torch.ones(2, 1), 1.0)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
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


@torch.no_grad()
def leave_one_out_errors(
    features: Float[Tensor, "N D"],
    codes: Num[Tensor, "N R"],
    known: Num[Tensor, "N one_or_R"],
    strengths: Float[Tensor, " M"],
) -> Float[Tensor, " M"]:
    """For each strength the squared errors on samples by `ridge_weight` without them, summed.

    By the hat matrix, with no second fit: with A = (X X' + s I)^-1, the error on sample i of the
    fit without it is (A Y)_i / A_ii. In float64; unknown entries do not count.

    >>> from torchcross.heads import leave_one_out_errors
    >>> features, codes = torch.eye(3, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)
    >>> leave_one_out_errors(features, codes, torch.ones(3, 1), torch.tensor([0.1, 1.0]).double())
    tensor([3., 3.], dtype=torch.float64)
    """
    X = features.cpu() if features.device.type == "mps" else features
    rows, known = X.double(), known.to(X.device, torch.float64)
    Y = codes.to(X.device, torch.float64) * known
    grid = strengths.to(X.device, torch.float64)
    masked = rows.unsqueeze(0) * known.mT.unsqueeze(-1)
    values, vectors = torch.linalg.eigh(masked @ masked.mT)
    inverse = 1 / (values.clamp(min=0) + grid[:, None, None])
    answers = Y.unsqueeze(0) if known.shape[1] == 1 else Y.mT.unsqueeze(-1)
    along = vectors.mT @ answers
    duals = vectors @ (inverse.unsqueeze(-1) * along)
    diagonal = (vectors.square() @ inverse.unsqueeze(-1)).squeeze(-1)
    errors = duals / diagonal.unsqueeze(-1)
    total: Tensor = errors.square().flatten(1).sum(1)
    return total.to(strengths)

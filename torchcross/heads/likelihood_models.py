"""The two likelihoods of converged heads, with the linear algebra of their Newton steps.

Each Hessian to the scores is a block for each sample. S = (K + H^-1)^-1, with H those blocks, is
made of Cholesky factors of N x N matrices whose eigenvalues are 1 or more (Rasmussen and Williams
2006, sections 3.4 and 3.5), so that duplicates in the support and few features do no harm. Every
Newton step solves for what is left of the gradient: rounding in a step is mended by the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from torchcross.heads.newton import Model
from torchcross.heads.newton_by_products import FEWEST, step_by_products
from torchcross.heads.padded_rows import elementwise
from torchcross.targets import MISSING


@final
class SoftmaxModel:
    """-log softmax of one score for each class; the free parameters are the intercepts.

    A number added to all intercepts changes nothing: theirs sum to zero. With a `prior`, known
    scores that the fitted ones are added to, there are no intercepts: the free parameters stay 0.
    """

    def __init__(
        self,
        labels: Float[Tensor, "B C N"],
        known: Float[Tensor, "B N"],
        prior: Float[Tensor, "B C N"] | None = None,
    ) -> None:
        self._labels, self._known, self._prior = labels, known, prior

    @classmethod
    def of_codes(
        cls,
        codes: Int64[Tensor, "B N"],
        classes: int,
        prior: Float[Tensor, "B C N"] | None = None,
    ) -> Self:
        return cls(_indicators(codes, classes).mT, (codes != MISSING).double(), prior)

    def of(self, chosen: Bool[Tensor, " B"]) -> SoftmaxModel:
        prior = None if self._prior is None else self._prior[chosen]
        return SoftmaxModel(self._labels[chosen], self._known[chosen], prior)

    def _logits(self, scores: Tensor, free: Tensor) -> Float[Tensor, "B C N"]:
        return scores + (free.unsqueeze(-1) if self._prior is None else self._prior)

    def start(self, gram: Tensor) -> tuple[Tensor, Tensor]:
        """The point after a Newton step from zero, where all classes are equally likely.

        There E_c is the same for all classes, and S v = E (v - mean over c of v_c). With a prior
        they are not, and zero is the start.
        """
        if self._prior is not None:
            return torch.zeros_like(self._labels), torch.zeros_like(self._labels[:, :, 0])
        classes = self._labels.shape[1]
        residual = self._known.unsqueeze(1) / classes - self._labels
        half = _half_inverses(gram, self._known / classes)
        columns = torch.cat([residual @ gram, torch.ones_like(self._known).unsqueeze(1)], 1).mT
        solved = (half.mT @ (half @ columns)).mT
        own, ones = solved[:, :-1], solved[:, -1:]
        shift = (own - residual).sum(-1) / ones.sum(-1)
        return own - residual - ones * shift.unsqueeze(-1), shift

    def loss(self, scores: Tensor, free: Tensor) -> Tensor:
        logits = self._logits(scores, free)
        total = (logits.logsumexp(1) * self._known).sum(1)
        return total - (logits * self._labels).sum((1, 2))

    def gradients(self, scores: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        to_scores = self._probabilities(scores, free) - self._labels
        return to_scores, to_scores.sum(-1) if self._prior is None else torch.zeros_like(free)

    def _probabilities(self, scores: Tensor, free: Tensor) -> Float[Tensor, "B C N"]:
        return torch.softmax(self._logits(scores, free), 1) * self._known.unsqueeze(1)

    def direction(
        self,
        gram: Tensor,
        scores: Tensor,
        free: Tensor,
        residual: Tensor,
        pull: Tensor,
        slope: Tensor,
    ) -> tuple[Tensor, Tensor]:
        # H = diag(p) - p p', and S v = E v - E (sum of E_c)^-1 sum over c of E_c v_c, where
        # E_c = (K + diag(p_c)^-1)^-1 is symmetric. Products with few columns are slow where there
        # are many matrices, and so few are made.
        p = self._probabilities(scores, free)
        half = _half_inverses(gram.unsqueeze(1), p)
        each = half.mT @ half
        # A sample without a label has p = 0 and takes no part; its 1 keeps the sum invertible.
        sum_half = _inverse_factor(each.sum(1) + torch.diag_embed(1 - self._known))
        own, ones = (each * pull.unsqueeze(-2)).sum(-1), each.sum(-1)
        columns = sum_half @ torch.cat([ones, own.sum(1, keepdim=True)], 1).mT
        spread, common = columns[..., :-1], columns[..., -1:]
        shift = torch.zeros_like(slope)
        if self._prior is None:
            # 1'S1 shift = 1'S pull - slope. Its null vector is (1, ..., 1); adding that direction
            # makes the shift sum to zero.
            bordered = torch.diag_embed(ones.sum(-1)) - spread.mT @ spread
            bordered = bordered + bordered.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None]
            right = own.sum(-1) - (spread.mT @ common).squeeze(-1) - slope
            shift = torch.linalg.solve(bordered, right)
            shift = shift - shift.mean(-1, keepdim=True)
        shared = sum_half.mT @ (common - spread @ shift.unsqueeze(-1))
        solved = own - ones * shift.unsqueeze(-1) - (each.flatten(1, 2) @ shared).view_as(own)
        return solved - residual, shift

    def search_direction(
        self,
        gram: Tensor,
        scores: Tensor,
        free: Tensor,
        residual: Tensor,
        pull: Tensor,
        slope: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        if gram.shape[-1] < FEWEST:
            exact = self.direction(gram, scores, free, residual, pull, slope)
            return *exact, _usable(gram)
        p, has_intercepts = self._probabilities(scores, free), self._prior is None
        return step_by_products(gram, p, residual, pull, slope, has_intercepts=has_intercepts)


@final
class CumulativeModel:
    """-log P(y) with P(y <= k) = s(threshold_k - score): one score, thresholds as free parameters.

    Jointly convex in both (Pratt 1981). With u and l the thresholds above and below a sample's
    class, less its score, -log P = softplus(-u) + softplus(l) - log(1 - e^(l-u)): sums of binary
    losses, and a barrier for each inner class that keeps the thresholds apart.
    """

    def __init__(
        self,
        above: Float[Tensor, "B N T"],
        below: Float[Tensor, "B N T"],
        inner: Float[Tensor, "B T-1"],
    ) -> None:
        self._above, self._below, self._inner = above, below, inner

    @classmethod
    def of_codes(cls, codes: Int64[Tensor, "B N"], classes: int) -> Self:
        own = _indicators(codes, classes)
        return cls(own[..., :-1], own[..., 1:], own[..., 1:-1].sum(1))

    def of(self, chosen: Bool[Tensor, " B"]) -> CumulativeModel:
        return CumulativeModel(self._above[chosen], self._below[chosen], self._inner[chosen])

    def start(self, gram: Tensor) -> tuple[Tensor, Tensor]:
        batch, samples, thresholds = self._above.shape
        duals = self._above.new_zeros(batch, 1, samples)
        steps = torch.arange(thresholds, dtype=duals.dtype, device=duals.device)
        return duals, (steps - steps.mean()).repeat(batch, 1)

    def _margins(self, scores: Tensor, free: Tensor) -> Float[Tensor, "B N T"]:
        return free.unsqueeze(1) - scores.mT

    def loss(self, scores: Tensor, free: Tensor) -> Tensor:
        margins = self._margins(scores, free)
        up, down = (elementwise(F.logsigmoid, each) for each in (margins, -margins))
        sides = self._above * up + self._below * down
        gaps = free.diff(dim=-1)
        barrier = -elementwise(_log_of_share, gaps) * self._inner
        barrier = torch.where(gaps > 0, barrier, torch.inf)
        return barrier.sum(1) - sides.sum((1, 2))

    def gradients(self, scores: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        up = elementwise(torch.sigmoid, self._margins(scores, free))
        each = self._above * (1 - up) - self._below * up
        gaps = self._inner / elementwise(torch.expm1, free.diff(dim=-1))
        return each.sum(-1).unsqueeze(1), F.pad(gaps, (0, 1)) - F.pad(gaps, (1, 0)) - each.sum(1)

    def direction(
        self,
        gram: Tensor,
        scores: Tensor,
        free: Tensor,
        residual: Tensor,
        pull: Tensor,
        slope: Tensor,
    ) -> tuple[Tensor, Tensor]:
        # With w the curvature at each threshold and h their sum, the Hessian is h to the score, -w
        # between both, and diag(sum of w) + barrier to the thresholds. Eliminating the duals leaves
        # barrier + diag(sum of w) - w' h^-1 w + r' S r with r = w / h: nothing cancels in its sum.
        up = elementwise(torch.sigmoid, self._margins(scores, free))
        curvature = (self._above + self._below) * up * (1 - up)
        total = curvature.sum(-1)
        share = curvature / torch.where(total > 0, total, 1).unsqueeze(-1)
        factor, root = _scaled_factors(gram, total)
        columns = root.mT * torch.cat([pull.mT, share], -1)
        columns = torch.linalg.solve_triangular(factor, columns, upper=False)
        spread = columns[..., 1:]
        system = self._barrier_curvature(free) + spread.mT @ spread
        system = system + torch.diag_embed(curvature.sum(1)) - curvature.mT @ share
        right = -slope - (spread.mT @ columns[..., :1]).squeeze(-1)
        shift = torch.linalg.solve(system, right)
        back = columns[..., :1] + spread @ shift.unsqueeze(-1)
        solved = torch.linalg.solve_triangular(factor.mT, back, upper=True)
        return root * solved.mT - residual, shift

    def search_direction(
        self,
        gram: Tensor,
        scores: Tensor,
        free: Tensor,
        residual: Tensor,
        pull: Tensor,
        slope: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        # One matrix a problem, and few columns: a factor is all that a step needs.
        return *self.direction(gram, scores, free, residual, pull, slope), _usable(gram)

    def _barrier_curvature(self, free: Tensor) -> Float[Tensor, "B T T"]:
        gaps = free.diff(dim=-1)
        bend = self._inner * elementwise(_bend, gaps)
        ends = F.pad(bend, (0, 1)) + F.pad(bend, (1, 0))
        system = torch.diag_embed(ends)
        if bend.shape[-1]:
            beside = torch.diag_embed(bend, offset=1)
            system = system - beside - beside.mT
        return system


def _usable(gram: Float[Tensor, "B N N"]) -> Bool[Tensor, " B"]:
    """Exact steps can always be used."""
    return torch.ones(len(gram), dtype=torch.bool, device=gram.device)


def _log_of_share(gaps: Tensor) -> Tensor:
    return torch.log(-torch.expm1(-gaps))


def _bend(gaps: Tensor) -> Tensor:
    """1 / (4 sinh^2(gap / 2)), which does not overflow before it rounds to 0."""
    return torch.exp(-gaps) / torch.expm1(-gaps).square()


def _indicators(codes: Int64[Tensor, "B N"], classes: int) -> Float[Tensor, "B N C"]:
    # F.one_hot reads values, which vmap refuses.
    return (codes.unsqueeze(-1) == torch.arange(classes, device=codes.device)).double()


def _half_inverses(
    gram: Float[Tensor, "*B N N"], curvature: Float[Tensor, "*C N"]
) -> Float[Tensor, "*C N N"]:
    """V with V'V = (K + D^-1)^-1, for D the diagonal matrix of the curvature, zeros included."""
    scaled, root = _scaled_matrix(gram, curvature)
    return _inverse_factor(scaled) * root


def _scaled_factors(
    gram: Float[Tensor, "B N N"], curvature: Float[Tensor, "B N"]
) -> tuple[Float[Tensor, "B N N"], Float[Tensor, "B 1 N"]]:
    """The factor L of I + D^1/2 K D^1/2, and the roots: `_half_inverses` are L^-1 D^1/2."""
    scaled, root = _scaled_matrix(gram, curvature)
    factor: Tensor = torch.linalg.cholesky_ex(scaled)[0]
    return factor, root


def _scaled_matrix(
    gram: Float[Tensor, "*B N N"], curvature: Float[Tensor, "*C N"]
) -> tuple[Float[Tensor, "*C N N"], Float[Tensor, "*C 1 N"]]:
    """I + D^1/2 K D^1/2, and the roots."""
    # The derivative of a root at 0 is infinite.
    root = torch.where(curvature > 0, curvature, 1).sqrt() * (curvature > 0)
    scaled = gram * (root.unsqueeze(-1) * root.unsqueeze(-2))
    scaled.diagonal(dim1=-2, dim2=-1).add_(1)
    return scaled, root.unsqueeze(-2)


def _inverse_factor(matrix: Float[Tensor, "*B N N"]) -> Float[Tensor, "*B N N"]:
    """V with V'V the inverse of a positive definite matrix; NaN where it is none."""
    factor, _ = torch.linalg.cholesky_ex(matrix)
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    inverse: Tensor = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    return inverse


MODELS: dict[str, Callable[[Tensor, int], Model]] = {
    "softmax": SoftmaxModel.of_codes,
    "cumulative": CumulativeModel.of_codes,
}

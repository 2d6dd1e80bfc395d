"""Heads made of texts: a vector for each prototype of a target, and what images add to them."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.heads.logistic import lengths_of
from torchcross.heads.solution import solution
from torchcross.targets import Target
from torchcross.targets.likelihood import Likelihood

TEXT_FORM = "text"
VECTORS = "head.prototypes"


def text_head(
    texts: Float[Tensor, "P D"], scale: float, like: Float[Tensor, "*N D"]
) -> dict[str, Tensor]:
    """The head of zero-shot prediction: scores are `scale` times the cosine with each text.

    >>> from torchcross.heads import text_head
    >>> head = text_head(torch.eye(2), 10.0, torch.zeros(3, 2))
    >>> sorted(head)
    ['head.prototypes']
    """
    return {VECTORS: (scale * texts.double()).to(like)}


def text_logistic_head(
    likelihood: Likelihood,
    features: Float[Tensor, "N D"],
    codes: Int64[Tensor, "A N"],
    texts: Float[Tensor, "P D"],
    scale: float,
    C: float,
) -> dict[str, Tensor]:
    """Logistic regression whose weights are pulled towards those of `text_head`, converged.

    argmin over W of |W - scale x texts|^2 / 2 + C x (sum of losses), for features of unit length,
    without intercepts; the loss is the softmax over the classes of each answer. A smaller C leaves
    more of the texts, and without a sample nothing else is left.

    That is a fit of V = W - scale x texts under an ordinary penalty, with the scores of the texts
    as an offset. Two classes are one score, as in binary logistic regression: C is halved for them,
    which counts both weights.

    >>> from torchcross.heads import text_logistic_head
    >>> from torchcross.targets import MultiClass
    >>> likelihood, texts = MultiClass(["disc", "star"]).likelihood, torch.eye(2)
    >>> features, codes = torch.tensor([[0.6, 0.8]]), likelihood.codes(torch.tensor([0]))
    >>> head = text_logistic_head(likelihood, features, codes, texts, scale=2.0, C=1.0)
    >>> head["head.prototypes"].round(decimals=1)  # of the texts alone: [[2, 0], [0, 2]]
    tensor([[ 2.1000,  0.2000],
            [-0.1000,  1.8000]])
    """
    rows = (features.cpu() if features.device.type == "mps" else features).double()
    rows = rows / lengths_of(rows).unsqueeze(-1)
    start = scale * texts.to(rows)
    # Prototypes stand by classes, then by answers.
    answers, classes, width = likelihood.answers, likelihood.classes, start.shape[-1]
    prior = (start @ rows.mT).reshape(classes, answers, -1).transpose(0, 1)
    weight = C / 2 if classes == 2 else C
    gram = (weight * (rows @ rows.mT)).expand(answers, len(rows), len(rows))
    duals, _ = solution(likelihood, gram, codes.to(rows.device), prior)
    moved = (weight * (duals @ rows)).transpose(0, 1).reshape(-1, width)
    return {VECTORS: (start + moved).to(features)}


def text_logits(
    target: Target, features: Float[Tensor, "N D"], params: dict[str, Tensor]
) -> Float[Tensor, "N outputs"]:
    directions = features / lengths_of(features).unsqueeze(-1)
    return target.prototype_logits(directions @ params[VECTORS].transpose(-2, -1))

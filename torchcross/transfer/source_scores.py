"""Which source will help a target: scores of source networks on the target's labelled images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from torchcross._kit.argument_checks import as_int
from torchcross._kit.randomness import Stream, permutation
from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.input_normalisation import MeanAndStd
from torchcross.data import TaskSource
from torchcross.embedding.forward import BLOCK, BlockForward
from torchcross.episode import Episode
from torchcross.errors import InputError
from torchcross.metrics.score import Score, undefined_score
from torchcross.targets import Target
from torchcross.transfer import scores as score_functions

Floats = NDArray[np.float64]
Probabilities = Callable[[Floats], Floats]
ScoreFunction = Callable[[Floats, NDArray[np.int64], Target], Score]

SCORES: Final[Mapping[str, ScoreFunction]] = {
    "logme": score_functions.logme,
    "knn": score_functions.knn,
    "shrunk_h_score": score_functions.shrunk_h_score,
    "h_score": score_functions.h_score,
    "gbc": score_functions.gbc,
    "transrate": score_functions.transrate,
    "parc": score_functions.parc,
    "nleep": score_functions.nleep,
    "leep": score_functions.leep,
    "nce": score_functions.nce,
}
OF_HEADS: Final = ("leep", "nce")


@final
@dataclass(frozen=True, eq=False)
class SourceModel:
    """A network that has learned a source, and what its own head says of features.

    head        features (N, D) -> probabilities (N, S) of the source's classes; `leep` and `nce`
                need it
    normalise   mean and standard deviation per channel, as the option of algorithms
    """

    backbone: nn.Module
    head: Probabilities | None = None
    normalise: MeanAndStd | None = None


@final
@dataclass(frozen=True, eq=False)
class SourceScores:
    """values[score][source] of one target; higher is better.

    of      "source" where the target's labelled images were scored, "support" where those of one
            episode were: few images make another score, so the two are not mixed
    images  how many images there were
    """

    target: str
    values: Mapping[str, Mapping[str, Score]]
    of: str
    images: int

    def order(self, score: str) -> tuple[str, ...]:
        """The sources from the best to the worst; those without a value are left out."""
        if score not in self.values:
            raise InputError(unknown_name("score", score, self.values))
        defined = {name: item for name, item in self.values[score].items() if item.is_defined}
        return tuple(sorted(defined, key=lambda name: -defined[name].value))

    def __str__(self) -> str:
        lines = [f"{self.target}: {self.images} images of its {self.of}"]
        for name in self.values:
            ranked = [f"{source} {self.values[name][source]}" for source in self.order(name)]
            lost = [
                f"{source}: {score.reason}"
                for source, score in self.values[name].items()
                if not score.is_defined
            ]
            lines.append(f"  {name}: " + "; ".join((*ranked, *lost)))
        return "\n".join(lines)


def rank(
    target: TaskSource | Episode,
    models: Mapping[str, nn.Module | SourceModel],
    *,
    scores: Sequence[str] = ("logme", "knn", "shrunk_h_score"),
    images: int | None = None,
    seed: int = 0,
) -> SourceScores:
    """Score the networks of sources on a target, before anything is trained on it.

    Give the target's training part, never its test part: a source, of which at most `images` are
    drawn by the seed; or an episode, whose support alone is read.
    """
    if unknown := [name for name in scores if name not in SCORES]:
        raise InputError(unknown_name("score", unknown[0], SCORES))
    if not models:
        raise InputError("models is empty; give a network for each source by name")
    name, pixels, codes, answered = _labelled_images(target, images, seed)
    values: dict[str, dict[str, Score]] = {score: {} for score in scores}
    for source, network in models.items():
        model = network if isinstance(network, SourceModel) else SourceModel(network)
        features = _features(model, pixels, f"{name}, scored by {source!r}")
        for score in scores:
            values[score][source] = _score(score, model, features, codes, answered)
    of = "support" if isinstance(target, Episode) else "source"
    return SourceScores(name, values, of, len(codes))


def _labelled_images(
    target: TaskSource | Episode, images: int | None, seed: int
) -> tuple[str, Tensor, NDArray[np.int64], Target]:
    """(a name, the images, their codes, the target)."""
    if isinstance(target, Episode):
        support = target.support
        codes = support.y.cpu().numpy().astype(np.int64)
        return f"a support of {target.task.name!r}", support.x, codes, target.task.target
    known = np.flatnonzero((target.labels >= 0).reshape(len(target), -1).any(axis=1))
    if images is not None and len(known) > as_int("images", images, least=2):
        order = permutation(Stream(seed, "source scores", target.name), 0, len(known))
        known = np.sort(known[order[:images]])
    codes = target.targets(known).numpy()
    return f"source {target.name!r}", target.read(known), codes, target.task.target


def _features(model: SourceModel, images: Tensor, subject: str) -> Floats:
    forward = BlockForward(model.backbone, model.normalise)
    blocks = [
        forward(images[start : start + BLOCK], subject) for start in range(0, len(images), BLOCK)
    ]
    return np.concatenate(blocks).astype(np.float64)


def _score(
    name: str, model: SourceModel, features: Floats, codes: NDArray[np.int64], target: Target
) -> Score:
    if name not in OF_HEADS:
        return SCORES[name](features, codes, target)
    if model.head is None:
        return undefined_score("it needs the source's head; give SourceModel(backbone, head=...)")
    return SCORES[name](model.head(features), codes, target)

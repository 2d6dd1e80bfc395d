"""Which source will help a target: scores of source networks on the target's labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from torchcross._kit.argument_checks import as_int
from torchcross._kit.arrays import Indices
from torchcross._kit.randomness import Stream, permutation
from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.input_normalisation import MeanAndStd
from torchcross.data import TaskSource, class_fraction
from torchcross.embedding.forward import BLOCK, BlockForward
from torchcross.episode import Episode
from torchcross.errors import InfeasibleError, InputError
from torchcross.metrics.score import Score, undefined_score
from torchcross.targets import Target
from torchcross.transfer import scores as score_functions
from torchcross.transfer.source_choice import ScoreChoice, ScoreHalves, choice_of

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
    "sfda": score_functions.sfda,
    "leep": score_functions.leep,
    "nce": score_functions.nce,
}
OF_HEADS: Final = ("leep", "nce")
_WITHOUT_HEAD: Final = (
    "it needs the answers of the source's own head, which a random start, a file of weights and a"
    " network alone do not have"
)


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
    """`values[score][source]` of one target; higher is better.

    of      "source" where the target's labelled images were scored, "support" where those of one
            episode were: few images make another score, so the two are not mixed
    images  how many images there were
    halves  by score, those on random halves of the images, where they were asked for
    """

    target: str
    values: Mapping[str, Mapping[str, Score]]
    of: str
    images: int
    halves: Mapping[str, ScoreHalves] = field(default_factory=dict)

    def choose(self, score: str, rules: Mapping[str, str] | None = None) -> ScoreChoice | None:
        """The source of highest score, beside the sources that simple rules take, by their names.

        None where no source has a value.
        """
        if score not in self.values:
            raise InputError(unknown_name("score", score, self.values))
        return choice_of(score, self.values[score], self.halves[score], rules or {})

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


def check_score_names(names: Iterable[str]) -> None:
    """Refuse a name that no score has."""
    for name in names:
        if name not in SCORES:
            raise InputError(unknown_name("score", name, SCORES))


def check_ranking(target: TaskSource, scores: Iterable[str], halves: int) -> None:
    """Refuse what `rank` would refuse of a source, whatever the networks are."""
    check_score_names(scores)
    labelled = target.subset(_labelled_rows(target), name=target.name)
    random_halves(labelled, as_int("halves", halves, least=0))


def rank(
    target: TaskSource | Episode,
    models: Mapping[str, nn.Module | SourceModel],
    *,
    scores: Sequence[str] = ("logme", "knn", "shrunk_h_score"),
    images: int | None = None,
    seed: int = 0,
    halves: int = 0,
) -> SourceScores:
    """Score the networks of sources on a target, before anything is trained on it.

    Give the target's training part, never its test part: a source, of which at most `images` are
    drawn by the seed; or an episode, whose support alone is read. With `halves` all scores are
    computed again on so many random halves of the images of a source, which tell how sure an order
    is (see `ScoreHalves`).
    """
    check_score_names(scores)
    if not models:
        raise InputError("models is empty; give a network for each source by name")
    if as_int("halves", halves, least=0) and isinstance(target, Episode):
        raise InputError("halves are of a source's images, and an episode is given; leave them out")
    name, pixels, codes, answered, part = _labelled_images(target, images, seed)
    parts = [] if part is None else random_halves(part, halves)
    rows: list[dict[str, list[float]]] = [{score: [] for score in scores} for _ in parts]
    values: dict[str, dict[str, Score]] = {score: {} for score in scores}
    for source, network in models.items():
        model = network if isinstance(network, SourceModel) else SourceModel(network)
        blocks = (pixels[block] for block in block_rows(len(pixels)))
        features = features_of(
            model.backbone, model.normalise, blocks, f"{name}, scored by {source!r}"
        )
        score_of = partial(score_features, head=model.head, without_head=_WITHOUT_HEAD)
        for score in scores:
            values[score][source] = score_of(score, features, codes, answered)
            for row, half in zip(rows, parts, strict=True):
                row[score].append(score_of(score, features[half], codes[half], answered).value)
    of = "support" if isinstance(target, Episode) else "source"
    names = tuple(models)
    spreads = {
        score: ScoreHalves(names, np.array([row[score] for row in rows]).reshape(-1, len(names)))
        for score in scores
    }
    return SourceScores(name, values, of, len(codes), spreads)


def _labelled_images(
    target: TaskSource | Episode, images: int | None, seed: int
) -> tuple[str, Tensor, NDArray[np.int64], Target, TaskSource | None]:
    """(a name, the images, their codes, the target, the source that has these images alone)."""
    if isinstance(target, Episode):
        support = target.support
        codes = support.y.cpu().numpy().astype(np.int64)
        return f"a support of {target.task.name!r}", support.x, codes, target.task.target, None
    known = _labelled_rows(target)
    if images is not None and len(known) > as_int("images", images, least=2):
        order = permutation(Stream(seed, "source scores", target.name), 0, len(known))
        known = np.sort(known[order[:images]])
    codes = target.targets(known).numpy()
    part = target.subset(known, name=target.name)
    return f"source {target.name!r}", target.read(known), codes, target.task.target, part


def _labelled_rows(target: TaskSource) -> Indices:
    return np.flatnonzero((target.labels >= 0).reshape(len(target), -1).any(axis=1))


def random_halves(part: TaskSource, halves: int) -> list[Indices]:
    try:
        return [class_fraction(part, 0.5, seed=number).indices for number in range(halves)]
    except InfeasibleError as error:
        raise InfeasibleError(
            f"no random halves: {error}; or give halves=0, or more images"
        ) from error


def features_of(
    backbone: nn.Module, normalise: MeanAndStd | None, blocks: Iterable[Tensor], subject: str
) -> Floats:
    """The features (N, D) of images that come in blocks; `subject` names them in errors."""
    forward = BlockForward(backbone, normalise)
    return np.concatenate([forward(images, subject) for images in blocks]).astype(np.float64)


def block_rows(count: int) -> list[Indices]:
    """The rows of each block of images: blocks of a fixed size, and the rest."""
    return [np.arange(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


def score_features(
    name: str,
    features: Floats,
    codes: NDArray[np.int64],
    target: Target,
    head: Probabilities | None,
    *,
    without_head: str,
) -> Score:
    """A score of features; undefined, with the reason `without_head`, where it lacks a head."""
    if name not in OF_HEADS:
        return SCORES[name](features, codes, target)
    if head is None:
        return undefined_score(without_head)
    return SCORES[name](head(features), codes, target)

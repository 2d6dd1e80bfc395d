"""Which images each episode drew: what an interval over images needs to know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross.errors import InputError

_PAIRS = ("episodes", "images", "is_query")
_IMAGES = ("drawn", "strata", "subjects")
_STRATA = ("stratum_images", "stratum_subjects")


class DrawingPlan(Protocol):
    """What is needed of a `torchcross.EpisodePlan`."""

    @property
    def index(self) -> int: ...
    @property
    def support(self) -> Indices: ...
    @property
    def query(self) -> Indices: ...


@final
@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """The images that episodes drew from one source: sparse, one entry for each pair of the two.

    A pair has the number of its episode (as in `EpisodeRecord`), the number of its image in the
    source, and whether the image was in the query. `drawn` are the images of all pairs, ascending.
    Each has a stratum, such as its class, and, where they are known, an anonymous subject number
    (-1: none). `stratum_images` counts the images of the source in each stratum, and
    `stratum_subjects` their subjects. The order of pairs does not matter.
    """

    episodes: Indices
    images: Indices
    is_query: NDArray[np.bool_]
    drawn: Indices
    strata: Indices
    stratum_images: Indices
    subjects: Indices | None = None
    stratum_subjects: Indices | None = None

    def __post_init__(self) -> None:
        for name in (*_PAIRS, *_IMAGES, *_STRATA):
            if (value := getattr(self, name)) is not None:
                kind = np.bool_ if name == "is_query" else np.int64
                object.__setattr__(self, name, _checked_column(name, value, kind))
        _check_pairs(self)
        _check_strata(self)
        order = np.lexsort((self.images, self.episodes))
        for name in _PAIRS:
            object.__setattr__(self, name, read_only(getattr(self, name)[order]))
        repeated = (np.diff(self.episodes) == 0) & (np.diff(self.images) == 0)
        if repeated.any():
            first = int(np.argmax(repeated))
            raise InputError(
                f"episode {self.episodes[first]} drew image {self.images[first]} twice; give each"
                " pair once"
            )

    @classmethod
    def of_plans(
        cls, plans: Iterable[DrawingPlan], labels: Any, subjects: Any | None = None
    ) -> Draws:
        """What plans drew from one source with these `labels` and, where known, `subjects`.

        Draws.of_plans([sampler[i] for i in range(100)], source.labels, source.groups)

        A stratum is all images with the same labels: a class, or a pattern of several labels.
        """
        plans = list(plans)
        sides = [side for plan in plans for side in (plan.support, plan.query)]
        lengths = [len(side) for side in sides]
        images = np.concatenate([np.zeros(0, dtype=np.int64), *sides])
        drawn = np.unique(images)
        codes = np.asarray(labels)
        if codes.ndim not in (1, 2) or (drawn.size and drawn[-1] >= len(codes)):
            raise InputError(
                f"Draws.of_plans got labels of shape {codes.shape} for plans that drew image"
                f" {drawn[-1] if drawn.size else 'none'}; give the labels of the source that the"
                " plans are of, one row for each image"
            )
        _, strata = np.unique(codes, axis=0, return_inverse=True)
        strata = strata.reshape(-1)
        return cls(
            episodes=np.repeat([plan.index for plan in plans for _ in range(2)], lengths),
            images=images,
            is_query=np.repeat([False, True] * len(plans), lengths),
            drawn=drawn,
            strata=strata[drawn],
            stratum_images=np.bincount(strata),
            **_subject_columns(subjects, strata, drawn),
        )

    @property
    def episode_numbers(self) -> Indices:
        """The numbers of the episodes, ascending."""
        return np.unique(self.episodes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Draws):
            return NotImplemented
        return self._bytes() == other._bytes()

    def __hash__(self) -> int:
        return hash(self._bytes())

    def __repr__(self) -> str:
        kinds = "" if self.subjects is None else ", with subjects"
        return (
            f"Draws({len(self.episode_numbers)} episodes, {len(self.drawn)} of"
            f" {self.stratum_images.sum()} images{kinds})"
        )

    def _bytes(self) -> tuple[bytes | None, ...]:
        columns = [getattr(self, name) for name in (*_PAIRS, *_IMAGES, *_STRATA)]
        return tuple(None if column is None else column.tobytes() for column in columns)


def _subject_columns(subjects: Any | None, strata: Indices, drawn: Indices) -> dict[str, Indices]:
    """The columns of subjects: numbers for the drawn images, and how many each stratum has."""
    if subjects is None:
        return {}
    if len(subjects) != len(strata):
        raise InputError(
            f"Draws.of_plans got {len(subjects)} subjects for {len(strata)} labels; give one for"
            " each image"
        )
    _, numbers = np.unique(np.asarray(subjects), return_inverse=True)
    pairs = np.unique(np.stack([strata, numbers]), axis=1)
    counts = np.bincount(pairs[0], minlength=int(strata.max()) + 1)
    return {"subjects": numbers[drawn], "stratum_subjects": counts}


def _checked_column(name: str, values: Any, kind: type[np.bool_ | np.int64]) -> NDArray[Any]:
    """A read-only copy."""
    try:
        array = np.array(values)
    except ValueError as error:
        raise InputError(f"Draws got {name} that are no row ({error}); give a row") from error
    kinds, words = ("b", "True or False") if kind is np.bool_ else ("iu", "whole numbers")
    if array.ndim != 1 or (array.size and array.dtype.kind not in kinds):
        raise InputError(
            f"Draws got {name} of {array.dtype} and shape {array.shape}; give a row of {words}"
        )
    least = -1 if name == "subjects" else 0
    if kind is np.int64 and array.size and (array.min() < least or array.max() >= 2**63):
        raise InputError(
            f"Draws got {name} from {array.min()} to {array.max()}; give numbers from {least} on"
        )
    return read_only(array.astype(kind))


def _check_pairs(draws: Draws) -> None:
    lengths = {name: len(getattr(draws, name)) for name in _PAIRS}
    if len(set(lengths.values())) > 1:
        raise InputError(f"Draws got columns of pairs of the lengths {lengths}; give one length")
    if not len(draws.episodes):
        raise InputError("Draws got no pair of an episode and an image; give the drawn images")
    if not np.array_equal(np.unique(draws.images), draws.drawn):
        raise InputError(
            f"Draws got {len(draws.drawn)} drawn images that are not those of the pairs, ascending"
            f" and each once; give np.unique(images), which are {len(np.unique(draws.images))}"
        )


def _check_strata(draws: Draws) -> None:
    for name in ("strata", "subjects"):
        column = getattr(draws, name)
        if column is not None and len(column) != len(draws.drawn):
            raise InputError(
                f"Draws got {len(column)} {name} for {len(draws.drawn)} drawn images; give one for"
                " each"
            )
    if (draws.subjects is None) != (draws.stratum_subjects is None):
        raise InputError("Draws got subjects or stratum_subjects alone; give both, or neither")
    if draws.strata.max() >= len(draws.stratum_images):
        raise InputError(
            f"Draws got the stratum {draws.strata.max()}, and the sizes of"
            f" {len(draws.stratum_images)} strata; number strata from 0 and give the size of each"
        )
    counts = np.bincount(draws.strata, minlength=len(draws.stratum_images))
    _check_sizes("images", counts, draws.stratum_images)
    if draws.subjects is not None and draws.stratum_subjects is not None:
        known = draws.subjects >= 0
        pairs = np.unique(np.stack([draws.strata[known], draws.subjects[known]]), axis=1)
        counts = np.bincount(pairs[0], minlength=len(draws.stratum_images))
        _check_sizes("subjects", counts, draws.stratum_subjects)


def _check_sizes(noun: str, counts: NDArray[np.int64], sizes: Indices) -> None:
    if len(counts) != len(sizes):
        raise InputError(
            f"Draws got the {noun} of {len(sizes)} strata; there are {len(counts)} strata"
        )
    if (beyond := counts > sizes).any():
        stratum = int(np.argmax(beyond))
        raise InputError(
            f"Draws got {counts[stratum]} drawn {noun} of stratum {stratum}, which has"
            f" {sizes[stratum]} {noun}; give the {noun} of the whole source"
        )

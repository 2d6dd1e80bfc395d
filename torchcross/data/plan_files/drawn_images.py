"""Plans with what they drew from: strata and anonymous subjects, so that no data is needed to read.

A file of plans (see `plan_file`) over one source, with more arrays. For each image of the joined
columns `support` and `query`:

    support_strata, query_strata          place of the image's stratum in `strata`
    support_subjects, query_subjects      a number for its subject, the same in the whole file and
                                          nowhere else; empty where subjects are not known

A stratum is all images of the source that have the same labels:

    strata (S,) or (S, labels)            the label codes of each stratum
    strata_images, strata_subjects (S,)   images of the source in it, and subjects (0: not known)

The header also has "digest" (see `PlanDigest`), "subjects" of the source (or null), and the content
hashes "sha256 of the arrays" and "sha256".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.content_hash import damage_error, split_hash, with_hash
from torchcross._kit.whole_files import open_whole
from torchcross.data.plan_files.digest import PlanDigest
from torchcross.data.plan_files.plan_file import (
    Arrays,
    Savable,
    columns_of,
    header_of,
    write_arrays,
)
from torchcross.data.plan_files.reading import check_numbers, read_arrays, read_header
from torchcross.data.sources.source import TaskSource
from torchcross.errors import PlanFileError
from torchcross.plan import EpisodePlan

_SIDES: Final = ("support", "query")
_DRAWN: Final = tuple(f"{side}_{what}" for what in ("strata", "subjects") for side in _SIDES)
_STRATA: Final = ("strata", "strata_images", "strata_subjects")
_ARRAYS_HASH: Final = "sha256 of the arrays"
_ADVICE: Final = "run the same again to make it again"


@final
@dataclass(frozen=True, eq=False)
class DrawnImages:
    """The episodes `episodes` of the source named `source`, and the images that each drew.

    One entry for each image of each episode: `rows` is the place of the episode in `episodes`,
    `strata` the place of the image's stratum in `stratum_labels`. `subjects` is None where subjects
    are not known. `digest` identifies the episodes, `fingerprint` the labels of the source.
    """

    digest: str
    source: str
    fingerprint: str
    episodes: Indices
    rows: Indices
    images: Indices
    in_support: NDArray[np.bool_]
    strata: Indices
    subjects: Indices | None
    stratum_labels: Indices
    stratum_images: Indices
    stratum_subjects: Indices
    source_subjects: int | None


def write_drawn_images(path: Path, level: Savable, plans: Sequence[EpisodePlan]) -> None:
    """Write plans of the one source of `level`, whole or not at all.

    Equal plans make equal bytes.
    """
    (source,) = level.sources
    digest = PlanDigest(source.fingerprint())
    for plan in plans:
        digest.add(plan)
    arrays = columns_of(plans, level.sources)
    arrays |= _strata_of(source, arrays) | _subjects_of(source, arrays)
    groups = source.groups
    header = header_of(level, len(plans)) | {
        "digest": digest.hexdigest(),
        "subjects": None if groups is None else int(groups.max()) + 1,
        _ARRAYS_HASH: arrays_hash(arrays),
    }
    with open_whole(path) as file:
        write_arrays(file, with_hash(header), arrays)


def read_drawn_images(path: Path) -> DrawnImages:
    """Read such a file; a PlanFileError or a DamageError says what is wrong with it."""
    arrays = read_arrays(path, (*_DRAWN, *_STRATA))
    header = read_header(path, arrays.pop("header"))
    header, has_hash = split_hash(path, header, _ADVICE)
    if not has_hash:
        raise damage_error(path, _ADVICE, lost=True)
    if header.get(_ARRAYS_HASH) != arrays_hash(arrays):
        raise damage_error(path, _ADVICE)
    # Fitting hashes may stand over anything: what a page computes with is checked.
    try:
        _check_strata(arrays, header)
        plans = _plans_of(arrays, header)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise PlanFileError(f"{path} is not as a run writes it: {error}; {_ADVICE}") from error
    check_numbers(path, plans)
    digest = PlanDigest(header["sources"][0]["fingerprint"])
    for plan in plans:
        digest.add(plan)
    if header.get("digest") != digest.hexdigest():
        raise PlanFileError(f"{path}: its plans are not those of its digest; {_ADVICE}")
    return _value_of(header, arrays)


# -- writing ---------------------------------------------------------------------------------------


def _strata_of(source: TaskSource, arrays: Arrays) -> Arrays:
    strata, of_image, counts = np.unique(
        source.labels, axis=0, return_inverse=True, return_counts=True
    )
    of_image = of_image.reshape(-1)
    subjects = np.zeros(len(strata), dtype=np.int64)
    if source.groups is not None:
        pairs = np.unique(np.stack([of_image, source.groups]), axis=1)
        subjects = np.bincount(pairs[0], minlength=len(strata))
    return {
        **{f"{side}_strata": of_image[arrays[side]].astype(np.int64) for side in _SIDES},
        "strata": strata.astype(np.int64),
        "strata_images": counts.astype(np.int64),
        "strata_subjects": subjects.astype(np.int64),
    }


def _subjects_of(source: TaskSource, arrays: Arrays) -> Arrays:
    """Numbers in the order of the first appearance: they say nothing of the subjects' names."""
    names = [f"{side}_subjects" for side in _SIDES]
    if source.groups is None:
        return {name: np.empty(0, dtype=np.int64) for name in names}
    drawn = source.groups[np.concatenate([arrays[side] for side in _SIDES])]
    _, first, of_image = np.unique(drawn, return_index=True, return_inverse=True)
    numbers = np.argsort(np.argsort(first))[of_image.reshape(-1)].astype(np.int64)
    return dict(zip(names, np.split(numbers, [len(arrays["support"])]), strict=True))


def arrays_hash(arrays: Arrays) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(f"{name} {arrays[name].shape}".encode())
        total.update(np.ascontiguousarray(arrays[name], dtype="<i8").tobytes())
    return total.hexdigest()


# -- reading ---------------------------------------------------------------------------------------


def _check_strata(arrays: Arrays, header: dict[str, Any]) -> None:
    """Raise a ValueError where strata and subjects do not fit the images, or one another."""
    strata, images, subjects = (arrays[name] for name in _STRATA)
    samples, known = header["sources"][0]["samples"], header["subjects"]
    _require(len(header["sources"]) == 1, "it is of several sources")
    _require(type(samples) is int and type(header["digest"]) is str, "its header lacks fields")
    _require(known is None or type(known) is int, "its number of subjects is no number")
    _require(strata.ndim in (1, 2) and len(strata) > 0, "it has no strata")
    _require(images.shape == subjects.shape == (len(strata),), "not every stratum has its size")
    _require(images.min() > 0 and sum(images.tolist()) == samples, "the strata are not the source")
    _require(
        subjects.min() >= 0 and bool((subjects <= images).all()), "subjects are more than images"
    )
    drawn = [np.concatenate([arrays[f"{side}{end}"] for side in _SIDES]) for end in ("", "_strata")]
    _require(drawn[0].shape == drawn[1].shape, "not every image has its stratum")
    _require(drawn[0].min() >= 0 and drawn[0].max() < samples, "an image is none of the source's")
    _require(drawn[1].min() >= 0 and drawn[1].max() < len(strata), "an image has no stratum")
    numbers = np.concatenate([arrays[f"{side}_subjects"] for side in _SIDES])
    if known is None:
        _require(not len(numbers) and not subjects.any(), "subjects are not known, and stand there")
        numbers = np.zeros(len(drawn[0]), dtype=np.int64)
    _require(numbers.shape == drawn[0].shape, "not every image has its subject")
    _require(
        numbers.min() >= 0 and numbers.max() < (known or 1), "a subject is none of the source's"
    )
    different = np.unique(np.stack([*drawn, numbers]), axis=1)
    _require(
        len(np.unique(different[0])) == different.shape[1], "an image has two strata or subjects"
    )
    of_strata = np.bincount(different[1], minlength=len(strata))
    _require(bool((of_strata <= images).all()), "a stratum has fewer images than were drawn of it")
    if known is not None:
        pairs = np.unique(different[1:], axis=1)
        of_strata = np.bincount(pairs[0], minlength=len(strata))
        fits = bool((of_strata <= subjects).all())
        _require(fits, "a stratum has fewer subjects than were drawn of it")


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)


def _plans_of(arrays: Arrays, header: dict[str, Any]) -> list[EpisodePlan]:
    """The plans, with labels that are those of the strata."""
    sizes, strata = arrays["sizes"], arrays["strata"]
    count = header["plans"]
    _require(type(count) is int and count > 0 and sizes.shape == (count, 3), "it has no plans")
    # At 0 shots there is no support.
    _require(bool((sizes[:, ::2] > 0).all() and (sizes >= 0).all()), "a plan is empty")
    _require(
        all(arrays[name].shape == (count,) for name in ("index", "source", "shots")), "columns"
    )
    _require(not arrays["source"].any(), "a plan is of another source")
    width = sizes[:, 0] if strata.ndim == 2 else np.ones(count, dtype=np.int64)
    classes = _parts(arrays["classes"], sizes[:, 0])
    sides = []
    for place, side in enumerate(_SIDES, 1):
        samples, of_stratum = (
            _parts(arrays[name], sizes[:, place]) for name in (side, f"{side}_strata")
        )
        labels = _parts(arrays[f"{side}_labels"], sizes[:, place] * width)
        for row in range(count):
            labels[row] = _checked_labels(labels[row], strata[of_stratum[row]], classes[row])
        sides.append((samples, labels))
    (support, support_labels), (query, query_labels) = sides
    for row in range(count):
        together = np.concatenate([support[row], query[row]])
        _require(len(np.unique(together)) == len(together), "an episode has an image twice")
    name = header["sources"][0]["name"]
    return [
        EpisodePlan(
            int(arrays["index"][row]),
            name,
            tuple(classes[row].tolist()),
            None,
            support[row],
            support_labels[row],
            query[row],
            query_labels[row],
        )
        for row in range(count)
    ]


def _parts(column: Indices, sizes: Indices) -> list[Indices]:
    """A joined column by plan."""
    _require(
        column.ndim == 1 and len(column) == sum(sizes.tolist()), "a column ends too early or late"
    )
    return np.split(column, np.cumsum(sizes)[:-1])


def _checked_labels(stored: Indices, strata: Indices, classes: Indices) -> Indices:
    """The labels within an episode, in their shape; they are those of the images' strata."""
    _require(classes.min() >= 0, "a class is none of the source's")
    if strata.ndim == 2:
        labels = stored.reshape(len(strata), len(classes))
        _require(np.array_equal(labels, strata[:, classes]), "labels are not those of the strata")
        return labels
    _require(bool((stored >= 0).all()), "an image has no class")
    _require(np.array_equal(classes[stored], strata), "labels are not those of the strata")
    return stored


def _value_of(header: dict[str, Any], arrays: Arrays) -> DrawnImages:
    sizes = arrays["sizes"]
    places = np.arange(len(sizes))
    rows = np.concatenate([np.repeat(places, sizes[:, column]) for column in (1, 2)])
    both = {
        end: np.concatenate([arrays[f"{side}{end}"] for side in _SIDES])
        for end in ("", "_strata", "_subjects")
    }
    in_support = np.arange(len(rows)) < len(arrays["support"])
    return DrawnImages(
        header["digest"],
        header["sources"][0]["name"],
        header["sources"][0]["fingerprint"],
        read_only(arrays["index"].copy()),
        read_only(rows),
        read_only(both[""]),
        read_only(in_support),
        read_only(both["_strata"]),
        None if header["subjects"] is None else read_only(both["_subjects"]),
        read_only(arrays["strata"].copy()),
        read_only(arrays["strata_images"].copy()),
        read_only(arrays["strata_subjects"].copy()),
        header["subjects"],
    )

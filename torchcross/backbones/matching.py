"""Which entry of a weight file belongs to which tensor of a backbone.

Every difference is named, and nothing is written before all entries fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class MatchedEntries:
    """Values ready to be written, each beside its tensor, and what was done to the entries."""

    pairs: tuple[tuple[Tensor, Tensor], ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


def match_entries(
    backbone: Backbone,
    entries: Entries,
    patterns: Sequence[str],
    *,
    all_must_match: bool,
    prefix: str,
) -> MatchedEntries:
    """Find the tensor of each entry. Entries that match a pattern are dropped.

    `all_must_match`: the patterns are the user's, so each must match an entry.
    """
    state = backbone.loadable.state_dict()
    places = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if any(place.is_meta for place in places.values()):
        raise InputError(
            "the backbone is on the meta device, where there is nothing to fill; move it with"
            " to_empty()"
        )
    tensors, notes = _without_prefixes(entries, places, prefix)
    idle = [
        pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in tensors)
    ]
    if all_must_match and idle:
        raise InputError(
            f"drop={idle[0]!r} matches no entry of {entries.path.name!r}; its names are"
            f" {_few(list(tensors))}"
        )
    dropped = tuple(
        name for name in tensors if any(fnmatchcase(name, pattern) for pattern in patterns)
    )
    kept = {name: value for name, value in tensors.items() if name not in dropped}
    counts = _missing_counts(kept, places)
    kept |= counts
    file = entries.path.name
    _refuse_differences(file, backbone, kept, places)
    pairs = tuple((place, _value(file, name, kept[name], place)) for name, place in places.items())
    if cast := sum(kept[name].dtype != place.dtype for name, place in places.items()):
        notes += (f"{cast} entries converted to the backbone's number format",)
    if counts:
        notes += (f"{len(counts)} counts of batches ({_COUNT}) are not in the file and set to 0",)
    return MatchedEntries(pairs, dropped, notes)


@torch.no_grad()
def write_entries(matched: MatchedEntries) -> None:
    for place, value in matched.pairs:
        place.copy_(value)


def _without_prefixes(
    entries: Entries, places: Mapping[str, Tensor], prefix: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the entries without DataParallel's prefix and the user's, and notes that say so."""
    tensors: dict[str, Tensor] = entries.tensors
    notes: tuple[str, ...] = ()
    is_parallel = bool(tensors) and all(name.startswith(_PARALLEL) for name in tensors)
    is_own = prefix.startswith(_PARALLEL) or any(name.startswith(_PARALLEL) for name in places)
    if is_parallel and not is_own:
        tensors = {name.removeprefix(_PARALLEL): value for name, value in tensors.items()}
        notes = (f"the prefix {_PARALLEL!r} of DataParallel taken off all names",)
    if not prefix:
        return tensors, notes
    hits = [name for name in tensors if name.startswith(prefix)]
    bare = {name.removeprefix(prefix): value for name, value in tensors.items()}
    if not hits:
        raise InputError(
            f"prefix={prefix!r}: no name of {entries.path.name!r} begins so: {_few(list(tensors))}"
        )
    if len(bare) < len(tensors):
        twins = [name for name in hits if name.removeprefix(prefix) in tensors]
        raise InputError(
            f"prefix={prefix!r}: a name of {entries.path.name!r} is one with and without it:"
            f" {_few(twins)}"
        )
    return bare, (*notes, f"the prefix {prefix!r} taken off {len(hits)} names")


def _missing_counts(kept: Mapping[str, Tensor], places: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return zeros for counts of batches, which files from before torch 0.4.1 do not have.

    Only cumulative averages depend on them.
    """
    return {
        name: torch.zeros_like(place, device="cpu")
        for name, place in places.items()
        if name.rpartition(".")[2] == _COUNT
        and name not in kept
        and f"{name.removesuffix(_COUNT)}running_mean" in kept
    }


def _refuse_differences(
    file: str, backbone: Backbone, kept: Mapping[str, Tensor], places: Mapping[str, Tensor]
) -> None:
    missing = [name for name in places if name not in kept]
    extra = [name for name in kept if name not in places]
    common = [name for name in places if name in kept]
    wrong = [name for name in common if kept[name].shape != places[name].shape]
    differences = []
    if missing:
        differences.append(f"{len(missing)} missing ({_few(missing)})")
    if extra:
        differences.append(f"{len(extra)} extra ({_few(extra)})")
    if wrong:
        shapes = [
            f"{name!r} is {tuple(kept[name].shape)}, not {tuple(places[name].shape)}"
            for name in wrong
        ]
        differences.append(f"{len(wrong)} misshapen ({_first(shapes)})")
    if differences:
        pairs = [(kept[name], places[name]) for name in wrong]
        raise InputError(
            f"{file!r} does not fit {backbone.label}, which has {len(places)} entries:"
            f" {'; '.join(differences)}. {_advice(missing, extra, pairs, bool(common))}."
            " Nothing was changed"
        )


def _advice(
    missing: list[str], extra: list[str], wrong: list[tuple[Tensor, Tensor]], any_common: bool
) -> str:
    if missing and extra and not any_common:
        start = extra[0].partition(".")[0]
        return (
            "No name is the same: give the prefix of the names in the file, for example"
            f" prefix='{start}.', or build its network"
        )
    if missing:
        return (
            "The file is of another network, or not whole: build the backbone that it was saved"
            " from"
        )
    if any(_differ_in_channels(value, place) for value, place in wrong):
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


def _differ_in_channels(value: Tensor, place: Tensor) -> bool:
    """Whether two kernels differ as those of a first layer for grey and for colour images."""
    are_kernels = value.dim() == place.dim() == 4
    return are_kernels and value.shape[1] in (1, 3) and value.shape[1] != place.shape[1]


def _value(file: str, name: str, value: Tensor, place: Tensor) -> Tensor:
    """Return the value in the place's number format and on its device."""
    is_floating = value.is_floating_point()
    if is_floating != place.is_floating_point() or value.is_complex():
        raise InputError(
            f"{file!r}: the entry {name!r} is {value.dtype}, and {place.dtype} is needed; nothing"
            " was changed"
        )
    converted = value.to(dtype=place.dtype, device=place.device)
    if is_floating and not bool(torch.isfinite(converted).all()):
        raise InputError(
            f"{file!r}: the entry {name!r} has values that are not finite; nothing was changed"
        )
    return converted


def _few(names: list[str]) -> str:
    return _first([repr(name) for name in names])


def _first(texts: list[str]) -> str:
    shown = ", ".join(texts[:_SHOWN])
    return f"{shown}, ..." if len(texts) > _SHOWN else shown
